"""Serves or calls chain.thrift with ThriftPy, with or without contrib.tracking: 0.3.9 speaks version 1 of it, ThriftPy2 version 2.

    tracking_peer.py serve --library L --transport T [--protocol P] [--plain] [--next HOST:PORT] HOST:PORT
    tracking_peer.py call --library L --transport T [--protocol P] [--plain] [--depth N] HOST:PORT

The client prints a JSON object: what came of each case. A case that hangs ends in a time-out, and says so.
"""

import argparse
import importlib
import json
import threading
import time
import uuid

from library import Library, add_common_flags, place

TIMEOUT_MS = 10000


class Peer:
    def __init__(self, args):
        self.args = args
        self.library = Library(args.library)
        self.chain = self.library.load("chain.thrift")
        self.tracking = importlib.import_module(self.library.name + ".contrib.tracking")
        self.ctx = importlib.import_module(self.library.name + ".contrib.tracking.tracker").ctx
        self.answers = []  # meta of the replies
        peer = self

        class Tracker(self.tracking.TrackerBase):
            def init_handshake_info(self, handshake):
                handshake.app_id = self.client

            def handle_response_header(self, header):
                peer.answers.append(header.meta)

            # 0.3.9 shares ctx.header.meta with its nested calls as well: the base class is used as it is.

        self.tracker = Tracker

    def protocol_factory(self):
        name = {"binary": "TBinaryProtocolFactory", "compact": "TCompactProtocolFactory"}[self.args.protocol]
        return getattr(importlib.import_module(self.library.name + ".protocol"), name)()

    def connect(self, address, service=None):
        socket = importlib.import_module(self.library.name + ".transport").TSocket(**place(address))
        socket.set_timeout(TIMEOUT_MS)
        transport = self.library.transport_factory(self.args.transport).get_transport(socket)
        protocol = self.protocol_factory().get_protocol(transport)
        transport.open()
        service = service or self.chain.Chain
        if self.args.plain:
            return self.library.thrift.TClient(service, protocol)
        return self.tracking.TTrackedClient(self.tracker(client="py-" + self.library.name), service, protocol)


class Handler:
    def __init__(self, peer):
        self.peer = peer
        self.local = threading.local()
        self.words = []

    def ping(self):
        pass

    def seen(self):
        header = getattr(self.peer.ctx, "header", None)
        if header is None:
            return "plain"
        meta = ",".join("%s=%s" % pair for pair in sorted((header.meta or {}).items()))
        return "%s|%s|%s" % (header.request_id, header.seq, meta)

    def follow(self, depth):
        seen = [self.seen()]
        if hasattr(self.peer.tracker, "add_response_meta"):
            self.peer.tracker.add_response_meta(by=self.peer.library.name)
        if depth <= 1:
            return seen
        client = self.peer.connect(self.peer.args.next)
        try:
            return seen + client.follow(depth - 1)
        finally:
            client.close()

    def refuse(self, reason):
        raise self.peer.chain.Barred(reason=reason)

    def crash(self, reason):
        raise RuntimeError(reason)

    def fail(self, reason):
        raise self.peer.library.thrift.TApplicationException(42, reason)

    def note(self, word):
        self.words.append(word)

    def noted(self):
        return self.words


class PerConnection:
    """A processor for each connection: the server has a thread for each, and a tracked processor remembers the handshake."""

    def __init__(self, make):
        self.make, self.local = make, threading.local()

    def process(self, iprot, oprot):
        if not hasattr(self.local, "processor"):
            self.local.processor = self.make()
        return self.local.processor.process(iprot, oprot)


def serve(peer):
    handler, service = Handler(peer), peer.chain.Chain
    if peer.args.plain:
        make = lambda: peer.library.thrift.TProcessor(service, handler)
    else:
        make = lambda: peer.tracking.TTrackedProcessor(peer.tracker(server="py"), service, handler)
    server = importlib.import_module(peer.library.name + ".server")
    socket = importlib.import_module(peer.library.name + ".transport").TServerSocket(client_timeout=None, **place(peer.args.address))
    server.TThreadedServer(
        PerConnection(make), socket, itrans_factory=peer.library.transport_factory(peer.args.transport),
        iprot_factory=peer.protocol_factory()).serve()


def attempt(call):
    try:
        return call()
    except Exception as e:  # noqa: it is what the test looks at
        return "%s %s" % (type(e).__name__, getattr(e, "type", getattr(e, "reason", "")))


def call(peer):
    service, out = peer.chain.Chain, {}
    first = peer.connect(peer.args.address)
    with peer.tracker.add_meta(who="client"):
        out["follow"] = [attempt(lambda: first.follow(peer.args.depth)) for _ in range(2)]
        out["answers"] = list(peer.answers)
        if peer.args.depth > 1:  # ThriftPy before ThriftPy would hang in the cases below
            print(json.dumps(out))
            return
        out["refuse"] = [attempt(lambda: first.refuse("no")), attempt(first.ping)]
        word = str(uuid.uuid4())
        first.note(word)
        end = time.time() + TIMEOUT_MS / 1000.0  # what follows a oneway through a gateway may overtake it
        while not out.get("noted") and time.time() < end:
            out["noted"] = word in first.noted()
        service.thrift_services.append("missing")  # that no server has
        service.missing_args, service.missing_result = service.ping_args, service.ping_result
        out["missing"] = [attempt(first.missing), attempt(first.ping)]
        for name in "crash", "fail":
            client = peer.connect(peer.args.address)
            out[name] = [attempt(lambda: getattr(client, name)("bad"))]
            out[name].append(attempt(client.ping))
            client.close()
    print(json.dumps(out))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "call"])
    add_common_flags(parser)
    parser.add_argument("--protocol", choices=["binary", "compact"], default="binary")
    parser.add_argument("--plain", action="store_true", help="without contrib.tracking")
    parser.add_argument("--next", help="where a server's own calls go")
    parser.add_argument("--depth", type=int, default=1)
    args = parser.parse_args()
    {"serve": serve, "call": call}[args.what](Peer(args))


main()
