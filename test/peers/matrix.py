"""A server or a client of kinds.thrift over many wires at once, each TRANSPORT-PROTOCOL[-multiplexed]; see wires.py.

    matrix.py [--library thriftpy|thriftpy2|apache] [--generated FOLDER] serve WIRE=PORT…
    matrix.py [--library thriftpy|thriftpy2|apache] [--generated FOLDER] call WIRE=HOST:PORT…

The server prints "ready" once it listens everywhere. The client runs the cases of client.py against Thriftloom and prints a line for each
wire and case: "ok WIRE CASE", or "FAIL WIRE CASE: why", or "none WIRE CASE: why" for a case that the library has no means for.
"""

import argparse
import http.server
import logging
import socket
import socketserver
import sys
import threading
import time

import client
from journal import Journal
from server import Kinds
from wires import Wire, library

AT_ONCE = 12  # wires that the client tries at the same time

client.PAUSE_MS, client.TURNS = 1000, 2


class Context:
    """How the cases of client.py reach the service."""

    crash, tls = "exception", {}

    def __init__(self, library, wire, address):
        self.library, self.wire, self.address = library, wire, address
        self.kinds = library.load("kinds.thrift")

    def connect(self, service=None, tls=None):
        return self.library.client(service or self.kinds.Kinds, self.wire, self.address, client.TIMEOUT_MS)

    def one_context(self):
        return {}


def why_not(library, wire, case):
    """Why a case cannot be tried, None where it can."""
    if case is client.oneway_as_call and library.name == "apache":
        return "generated code sends a oneway as one"
    if wire.protocol == "apachejson" and library.name != "apache":
        if case is client.oneway_as_call:
            return "a client can be used once"
        if case is client.big:
            return "it reads a string byte by byte, in a time that grows with the square of its length: 37 s for 500 KB"


def report(line):
    sys.stdout.write(line + "\n")  # one write: threads print whole lines
    sys.stdout.flush()


def run(context, case):
    try:
        case(context)
        return "ok %s %s" % (context.wire.name, case.__name__)
    except Exception as error:
        return ("FAIL %s %s: %s: %s" % (context.wire.name, case.__name__, type(error).__name__, error)).replace("\n", " ")


def call(library, places):
    for file in ("kinds.thrift", "kinds_extra.thrift"):
        library.load(file)  # ThriftPy 0.3.9 cannot load in two threads at once
    turns = threading.Semaphore(AT_ONCE)

    def one(wire, address):
        with turns:
            context = Context(library, wire, address)
            for case in client.CASES:
                if why_not(library, wire, case):
                    report("none %s %s: %s" % (wire.name, case.__name__, why_not(library, wire, case)))
                else:
                    report(run(context, case))

    threads = [threading.Thread(target=one, args=place) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(library, places):
    kinds = library.load("kinds.thrift")
    handler = Kinds(kinds, None, Journal(None))
    for wire, port in places:
        threading.Thread(target=library.server(kinds, wire, handler, int(port)).serve, daemon=True).start()
    for _, port in places:
        await_listener(int(port))
    print("ready", flush=True)
    threading.Event().wait()


def await_listener(port):
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description="Serves or calls kinds.thrift over many wires.")
    parser.add_argument("--library", choices=["thriftpy", "thriftpy2", "apache"], default="thriftpy2")
    parser.add_argument("--generated", metavar="FOLDER", help="of apache: what thrift-compiler made")
    parser.add_argument("job", choices=["serve", "call"])
    parser.add_argument("places", nargs="+", metavar="WIRE=ADDRESS")
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the libraries log each crash that a case asks for
    http.server.BaseHTTPRequestHandler.log_message = lambda *_: None
    socketserver.BaseServer.handle_error = lambda *_: None
    places = [(Wire(name), address) for name, address in (place.split("=") for place in flags.places)]
    {"serve": serve, "call": call}[flags.job](library(flags.library, flags.generated), places)


if __name__ == "__main__":
    main()
