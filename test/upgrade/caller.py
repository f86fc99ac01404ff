"""Calls kinds.thrift at a steady rate over connections that it never closes, until SIGTERM, and checks what it gets.

    caller.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--rate N] [--connections N] [--other ADDRESS] PATH|PORT|HOST:PORT

Each connection is a thread with a client of its own, which sends no header and knows nothing of gateways. A line of JSON every half a
second, and a last one: {"calls": N, "opened": connections that were opened so far, "again": N, "oneways": N, "failed": [texts, at most 20]}. A
oneway is a word that the server remembers after a while.

With --other, a call whose connection breaks is made again, once, over a new connection to the other address; "again" counts those.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from library import Library, add_common_flags, place  # noqa: E402

TIMEOUT_MS = 60000


class Callers:
    def __init__(self, library, address, other, transport):
        self.library, self.address, self.other, self.transport = library, address, other, transport
        self.kinds = library.load("kinds.thrift")
        self.lock = threading.Lock()
        self.calls, self.opened, self.again, self.oneways, self.failed = 0, 0, 0, 0, []
        self.going = True

    def connect(self, address):
        client = self.library.rpc.make_client(
            self.kinds.Kinds, trans_factory=self.library.transport_factory(self.transport), timeout=TIMEOUT_MS, **place(address))
        with self.lock:
            self.opened += 1
        return client

    def call(self, client, n):
        """One call of several kinds; what came, and what was to come."""
        text = "call %d of %d in %d" % (n, threading.get_ident(), os.getpid())
        if n % 16 == 1:
            return client.sleep(n % 40), n % 40
        if n % 16 == 2:
            return len(client.big(20000)), 20000
        if n % 16 == 3:
            client.remember(text, n % 100)
            with self.lock:
                self.oneways += 1
            return None, None
        return client.echoString(text), text

    def run(self, rate, offset):
        client, n, due = None, 0, time.time() + offset
        while self.going:
            failure = None
            try:
                if client is None:
                    client = self.connect(self.address)
                try:
                    got, want = self.call(client, n)
                except self.library.transport.TTransportException:
                    if self.other is None:
                        raise
                    with self.lock:
                        self.again += 1
                    client = self.connect(self.other)
                    got, want = self.call(client, n)
                if got != want:
                    failure = "WRONG ANSWER: %.100r, want %.100r" % (got, want)
            except Exception as error:
                failure = "%s: %s" % (type(error).__name__, getattr(error, "message", None) or error)
                client = None
            n += 1
            with self.lock:
                self.calls += 1
                if failure is not None:
                    self.failed.append("%.3f %s" % (time.time(), failure))
            due = max(due + 1.0 / rate, time.time() - 1)  # what a stall has cost is not made up for
            time.sleep(max(0.0, due - time.time()))

    def report(self):
        with self.lock:
            print(json.dumps({"calls": self.calls, "opened": self.opened, "again": self.again, "oneways": self.oneways, "failed": self.failed[:20]}), flush=True)

    def stop(self, *_):
        self.going = False


def main():
    parser = argparse.ArgumentParser(description="Calls kinds.thrift at a steady rate.")
    add_common_flags(parser)
    parser.add_argument("--rate", type=float, default=100, help="calls a second, all connections together")
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--other", metavar="ADDRESS", help="where to go when a connection breaks")
    flags = parser.parse_args()
    callers = Callers(Library(flags.library), flags.address, flags.other, flags.transport)
    signal.signal(signal.SIGTERM, callers.stop)
    threads = [
        threading.Thread(target=callers.run, args=(flags.rate / flags.connections, i / flags.rate)) for i in range(flags.connections)]
    for thread in threads:
        thread.start()
    while callers.going:
        time.sleep(0.5)
        callers.report()
    for thread in threads:
        thread.join()
    callers.report()


if __name__ == "__main__":
    main()
