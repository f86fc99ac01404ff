"""Captures real messages: runs calls of kinds.thrift between ThriftPy's own client and its own server, and prints what went by.

    capture.py --library thriftpy|thriftpy2

A line for each message: who sent it (client, server), transport, strict or old heads, what it is, its bytes in hex. What this printed with
ThriftPy 0.3.9 and ThriftPy2 0.7.1 is in testdata/vectors/.
"""

import argparse
import importlib
import os
import socket
import struct
import tempfile
import threading
import time

from library import Library
from server import prepare

LONG = "Ünïcödé and a long text " * 8


class Relay:
    """Stands between one client and the server and writes down what goes by."""

    def __init__(self, server):
        self.server, self.path = server, tempfile.mktemp(prefix="relay")
        self.sides = {"client": b"", "server": b""}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        threading.Thread(target=self.pump, args=("server", server, client), daemon=True).start()
        self.pump("client", client, server)

    def pump(self, side, source, sink):
        while True:
            data = source.recv(65536)
            if not data:
                try:
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                return
            self.sides[side] += data
            sink.sendall(data)

    def take(self):
        """What went by since it was last asked."""
        sides, self.sides = self.sides, {"client": b"", "server": b""}
        return sides


def calls(kinds):
    """Name, and what to do with a client, in an order that does not matter."""
    point = kinds.Point(x=-1, y=2147483647)
    shape = kinds.Shape(name="shape", label=LONG, origin=point, corners=[point, kinds.Point(x=3)], color=kinds.Color.BLUE,
                        marks={"a": point, "b": kinds.Point()}, closed=False)
    bases = kinds.Bases(flag=True, tiny=-128, small=-32768, medium=-2147483648, large=-9223372036854775808, real=0.1, text="täxt",
                        raw=b"\x00\x01")
    return [
        ("ping", lambda c: c.ping()),
        ("echoBool", lambda c: c.echoBool(True)),
        ("echoByte", lambda c: c.echoByte(-1)),
        ("echoI16", lambda c: c.echoI16(-300)),
        ("echoI32", lambda c: c.echoI32(70000)),
        ("echoI64", lambda c: c.echoI64(-(1 << 62))),
        ("echoDouble", lambda c: c.echoDouble(-0.0)),
        ("echoDouble infinite", lambda c: c.echoDouble(float("inf"))),
        ("echoString", lambda c: c.echoString(LONG)),
        ("echoString empty", lambda c: c.echoString("")),
        ("echoBinary", lambda c: c.echoBinary(bytes(bytearray(range(128, 256))))),
        ("echoColor", lambda c: c.echoColor(kinds.Color.GREEN)),
        ("echoBases", lambda c: c.echoBases(bases)),
        ("echoShape", lambda c: c.echoShape(shape)),
        ("echoShape empty", lambda c: c.echoShape(kinds.Shape())),
        ("echoValue", lambda c: c.echoValue(kinds.Value(text="one of three"))),
        ("echoNested", lambda c: c.echoNested({"a": [[1, 2], []], "b": [], LONG: [[5]]})),
        ("echoShapes", lambda c: c.echoShapes({7: {kinds.Color.RED: shape}, 8: {}})),
        ("big", lambda c: c.big(200)),
        ("sleep", lambda c: c.sleep(1)),
        ("pid", lambda c: c.pid()),
        ("refuse", lambda c: refused("Refused", c.refuse, "because", 7)),
        ("unknown method", lambda c: refused("TApplicationException", c.missing, "word")),
        ("remember", lambda c: c.remember("word", 0)),
        ("remembered", lambda c: c.remembered("")),
    ]


def refused(kind, call, *args):
    try:
        call(*args)
    except Exception as error:
        if type(error).__name__ != kind:
            raise
        return
    raise AssertionError("no %s" % kind)


def protocol_factory(library, old):
    """The library's own default, the compiled one where it has it, with or without the version word."""
    module = importlib.import_module(library.name + ".protocol")
    return module.TBinaryProtocolFactory(strict_read=not old, strict_write=not old)


def capture(library, transport, old):
    """Prints every message of one client."""
    _, kinds, handler = prepare(library.name, None, None)
    extra = library.load("kinds_extra.thrift")
    path = tempfile.mktemp(prefix="server")
    if hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT  # see server.py
    server = library.rpc.make_server(kinds.Kinds, handler, unix_socket=path, proto_factory=protocol_factory(library, old),
                                     trans_factory=library.transport_factory(transport))
    threading.Thread(target=server.serve, daemon=True).start()
    while not os.path.exists(path):
        time.sleep(0.01)
    relay = Relay(path)
    client = library.rpc.make_client(extra.KindsExtra, unix_socket=relay.path, proto_factory=protocol_factory(library, old),
                                     trans_factory=library.transport_factory(transport), timeout=20000)
    for name, call in calls(kinds):
        call(client)
        if name == "remember":
            time.sleep(0.2)  # nothing comes back
        for side, data in sorted(relay.take().items()):
            if data:
                what = {1: "call", 2: "reply", 3: "exception", 4: "oneway"}[message_type(data, transport, old)]
                if name == "remember":
                    what = "oneway"  # older clients write it as a call
                print("\t".join([side, transport, "old" if old else "strict", what, name, data.hex()]))
    client.close()


def message_type(data, transport, old):
    if transport == "framed":
        data = data[4:]
    if not old:
        return data[3]
    (n,) = struct.unpack(">i", data[:4])
    return bytearray(data)[4 + n]


def main():
    parser = argparse.ArgumentParser(description="Captures real messages between ThriftPy's client and server.")
    parser.add_argument("--library", choices=["thriftpy", "thriftpy2"], required=True)
    library = Library(parser.parse_args().library)
    for transport in ("buffered", "framed"):
        for old in (False, True):
            capture(library, transport, old)


if __name__ == "__main__":
    main()
