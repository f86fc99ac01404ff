"""A client of kinds.thrift that checks what it gets.

    client.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--crash exception|close] [--case NAME|all]
              [--cafile FILE [--certfile FILE --keyfile FILE]] [--sasl USER:PASSWORD] PATH|PORT|HOST:PORT

It prints "ok NAME" or "FAIL NAME: why", a line for each case, and exits 1 if one failed. --crash says what a caller gets when a handler
raises what the IDL does not declare: a TApplicationException of type 6 on a connection that stays usable (Thriftloom), or a closed
connection (ThriftPy).
"""

import argparse
import importlib
import math
import socket
import sys
import threading
import time
import uuid

from library import Library, add_common_flags, place

CALL = 1
UNKNOWN_METHOD, INTERNAL_ERROR = 1, 6
TIMEOUT_MS = 20000  # of a call; only a case that fails waits so long
PAUSE_MS = 300  # of the handler of a oneway
TURNS = 10  # of each of a hundred clients

CASES = []


def case(function):
    CASES.append(function)
    return function


class Context:
    """How the cases reach the service."""

    def __init__(self, library, address, transport, crash, tls, sasl=None):
        self.library, self.address, self.transport, self.crash, self.tls = library, address, transport, crash, tls
        self.sasl = sasl
        self.kinds = library.load("kinds.thrift")

    def connect(self, service=None, tls=None):
        return self.library.rpc.make_client(
            service or self.kinds.Kinds, trans_factory=self.factory(), timeout=TIMEOUT_MS,
            **dict(self.tls if tls is None else tls, **place(self.address)))


    def factory(self):
        if self.sasl is None:
            return self.library.transport_factory(self.transport)
        sasl = importlib.import_module(self.library.name + ".transport.sasl")
        return sasl.TCySaslClientTransportFactory(lambda: Plain(*self.sasl), "PLAIN")

    def one_context(self):
        """The TLS flags as one SSLContext: ThriftPy 0.3.9 takes 60 ms to make one, and makes one for each client."""
        if not self.tls:
            return self.tls
        made = importlib.import_module(self.library.name + ".transport.sslsocket").create_thriftpy_context(server_side=False)
        made.load_verify_locations(cafile=self.tls["cafile"])
        if "certfile" in self.tls:
            made.load_cert_chain(self.tls["certfile"], self.tls["keyfile"])
        return {"ssl_context": made}


class Plain:
    """What TSaslClientTransport asks of a SASL library: PLAIN, which protects nothing that follows."""

    def __init__(self, user, password):
        self.user, self.password = user, password

    def start(self, mechanism):
        return mechanism == "PLAIN", mechanism, ("\0%s\0%s" % (self.user, self.password)).encode("utf-8")

    def encode(self, data):
        return True, data


class Connection:
    """One client, closed at the end of a with."""

    def __init__(self, context, service=None, tls=None):
        self.client = context.connect(service, tls)

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()


def check(condition, text, *values):
    if not condition:
        raise AssertionError(text % values)


def same(got, want):
    check(got == want, "got %.200r, want %.200r", got, want)


def raises(kind, call, *args):
    """Returns the exception of that kind that the call raises."""
    try:
        got = call(*args)
    except kind as error:
        return error
    raise AssertionError("no %s; got %.200r" % (kind.__name__, got))


def as_bytes(value):
    """ThriftPy 0.3.9 reads a binary as str where it is UTF-8."""
    return value.encode("utf-8") if isinstance(value, str) else value


@case
def void(context):
    with Connection(context) as client:
        same(client.ping(), None)


@case
def ascii(context):
    with Connection(context) as client:
        for text in ["", "a", "plain text", "x" * 4095, "x" * 4096, "x" * 4097]:  # ThriftPy's buffers hold 4096 bytes
            same(client.echoString(text), text)


@case
def utf8(context):
    with Connection(context) as client:
        for text in ["é", "naïve façade", "日本語", "👩‍🚀 𝒳", "nul \0 within", "line\nends\r\n"]:
            same(client.echoString(text), text)


@case
def big(context):
    size = 500 * 1000
    with Connection(context) as client:
        same(client.big(size), "x" * size)
        text = "0123456789" * (size // 10)
        same(client.echoString(text), text)
        same(client.ping(), None)


@case
def binary(context):
    with Connection(context) as client:
        for raw in [b"", b"\0", b"plain", bytes(range(256)), b"\x80\x01\x00\x01", b"\xff" * 70000]:
            same(as_bytes(client.echoBinary(raw)), raw)


@case
def bases(context):
    with Connection(context) as client:
        for call, values in [
            (client.echoBool, [True, False]),
            (client.echoByte, [-(2**7), -1, 0, 1, 2**7 - 1]),
            (client.echoI16, [-(2**15), -1, 0, 1, 2**15 - 1]),
            (client.echoI32, [-(2**31), -1, 0, 1, 2**31 - 1]),
            (client.echoI64, [-(2**63), -1, 0, 1, 2**63 - 1]),
            (client.echoDouble, [0.0, 1.5, -1e-300, sys.float_info.max, sys.float_info.min, 5e-324, math.inf, -math.inf]),
            (client.echoColor, [context.kinds.Color.RED, context.kinds.Color.BLUE, 77]),  # a number that the enum does not have
        ]:
            for value in values:
                got = call(value)
                same((type(got), got), (type(value), value))
        check(math.isnan(client.echoDouble(math.nan)), "NaN did not come back")
        same(math.copysign(1, client.echoDouble(-0.0)), -1.0)


@case
def all_bases(context):
    low = dict(flag=False, tiny=-(2**7), small=-(2**15), medium=-(2**31), large=-(2**63), real=-0.5, text="", raw=b"\xfe\xff")
    high = dict(flag=True, tiny=2**7 - 1, small=2**15 - 1, medium=2**31 - 1, large=2**63 - 1, real=1e300, text="é", raw=b"\x00\xff")
    with Connection(context) as client:
        for fields in [low, high]:
            same(client.echoBases(context.kinds.Bases(**fields)), context.kinds.Bases(**fields))
        unset = client.echoBases(context.kinds.Bases(medium=1))
        same((unset.medium, unset.large, unset.text), (1, None, None))


def shape(kinds, name, corners):
    return kinds.Shape(
        name=name, origin=kinds.Point(x=1, y=-2), corners=[kinds.Point(x=n, y=n * n) for n in range(corners)], color=kinds.Color.GREEN,
        marks={"top": kinds.Point(x=0, y=9), "é": kinds.Point(x=-1, y=0)}, closed=False)


@case
def nested_struct(context):
    with Connection(context) as client:
        for corners in [0, 3, 5000]:
            same(client.echoShape(shape(context.kinds, "n", corners)), shape(context.kinds, "n", corners))
        labelled = shape(context.kinds, "n", 1)
        labelled.label = "here"
        same(client.echoShape(labelled).label, "here")
        same(client.echoShape(context.kinds.Shape(name="bare")), context.kinds.Shape(name="bare"))  # closed by default


@case
def containers(context):
    nested = {"": [], "one": [{1}], "more": [set(), {-1, 2, 2**31 - 1}, {5}]}
    kinds = context.kinds
    shapes = {-7: {kinds.Color.RED: shape(kinds, "a", 2), kinds.Color.BLUE: shape(kinds, "b", 0)}, 0: {}}
    with Connection(context) as client:
        got = client.echoNested(nested)
        in_order = lambda value: {key: [sorted(one) for one in sets] for key, sets in value.items()}
        same(in_order(got), in_order(nested))  # ThriftPy reads sets as lists, in any order
        same(client.echoNested({}), {})
        same(client.echoShapes(shapes), shapes)


@case
def union(context):
    value, point = context.kinds.Value, context.kinds.Point(x=3, y=4)
    with Connection(context) as client:
        for one in [value(number=2**40), value(text="é"), value(point=point)]:
            same(client.echoValue(one), one)


@case
def declared_exception(context):
    with Connection(context) as client:
        error = raises(context.kinds.Refused, client.refuse, "not today — é", -3)
        same((error.reason, error.code), ("not today — é", -3))
        same(client.ping(), None)


@case
def undeclared_exception(context):
    application = context.library.thrift.TApplicationException
    with Connection(context) as client:
        client.ping()
        if context.crash == "close":
            error = raises(Exception, client.crash, "on purpose")
            check(not isinstance(error, application), "got %r where the connection was to be closed", error)
            check(not isinstance(error, (AssertionError, socket.timeout)), "got %r", error)
        else:
            same(raises(application, client.crash, "on purpose").type, INTERNAL_ERROR)
            same(client.echoString("still here"), "still here")
    with Connection(context) as client:
        same(client.ping(), None)


@case
def unknown_method(context):
    extra = context.library.load("kinds_extra.thrift").KindsExtra
    with Connection(context, extra) as client:
        same(raises(context.library.thrift.TApplicationException, client.missing, "word").type, UNKNOWN_METHOD)
        same(client.echoString("still here"), "still here")


def recorded(context, word, limit=10.0):
    """Waits until the servers have recorded the word, and returns how often they have."""
    end = time.time() + limit
    while True:
        with Connection(context) as client:
            words = client.remembered(word)
        if words or time.time() > end:
            return len(words)
        time.sleep(0.02)


def new_word():
    return "word-%s" % uuid.uuid4()


def oneway_then_call(context, client, millis):
    """A oneway does not wait for its handler, runs once, and leaves no reply behind that the next call would take for its own."""
    for _ in range(3):  # a machine may stand still for as long as the handler takes; not three times
        word, start = new_word(), time.time()
        same(client.remember(word, millis), None)
        waited = time.time() - start
        same(client.echoString(word), word)
        same(client.echoI32(4711), 4711)
        same(recorded(context, word), 1)
        if waited < 0.9 * millis / 1000.0:
            return
    check(False, "the oneway waited for its handler: %.3fs", waited)


@case
def oneway(context):
    with Connection(context) as client:
        oneway_then_call(context, client, PAUSE_MS)


@case
def oneway_as_call(context):
    """As ThriftPy up to 0.4.17 sends it, and other old clients: with the type of a call."""

    class OldClient(context.library.thrift.TClient):
        def _send(self, name, **arguments):
            args = getattr(self._service, name + "_args")()
            for key, value in arguments.items():
                setattr(args, key, value)
            self._oprot.write_message_begin(name, CALL, self._seqid)
            args.write(self._oprot)
            self._oprot.write_message_end()
            self._oprot.trans.flush()

    with Connection(context) as client:
        oneway_then_call(context, OldClient(context.kinds.Kinds, client._iprot), PAUSE_MS)


@case
def oneway_that_raises(context):
    word = new_word()
    with Connection(context) as client:
        client.stumble(word)
        if context.crash == "exception":  # ThriftPy's own server closes the connection
            same(client.echoString("still here"), "still here")
    same(recorded(context, word), 1)


@case
def slow(context):
    with Connection(context) as client:
        same(client.sleep(200), 200)


@case
def concurrent_clients(context):
    """A hundred clients at once each get their own answers."""
    failures, together, tls = [], threading.Barrier(100), context.one_context()

    def one(number):
        try:
            with Connection(context, tls=tls) as client:
                together.wait(TIMEOUT_MS / 1000.0)
                for turn in range(TURNS):
                    text = "client %d, call %d" % (number, turn)
                    same(client.echoString(text), text)
                    same(client.echoI32(number * 1000 + turn), number * 1000 + turn)
        except Exception as error:
            failures.append("client %d: %r" % (number, error))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, "%d of 100 failed; the first: %s", len(failures), failures[:1])


def idle(context):
    """A connection that is idle for longer than ThriftPy's servers allow. Not in `all`: it needs a gateway, and time."""
    with Connection(context) as client:
        client.ping()
        time.sleep(4)
        same(client.echoString("still here"), "still here")


def main():
    named = {function.__name__: function for function in CASES + [idle]}
    parser = argparse.ArgumentParser(description="Checks a server of kinds.thrift.", epilog="cases: " + " ".join(named))
    add_common_flags(parser)
    parser.add_argument("--crash", choices=["exception", "close"], default="exception", help="default: exception, as through Thriftloom")
    parser.add_argument("--case", default="all", choices=["all"] + sorted(named), metavar="NAME")
    for name in ("cafile", "certfile", "keyfile"):
        parser.add_argument("--" + name, metavar="FILE", help="of make_client: TLS")
    parser.add_argument("--sasl", metavar="USER:PASSWORD", help="log in by SASL PLAIN")
    flags = parser.parse_args()
    tls = {name: getattr(flags, name) for name in ("cafile", "certfile", "keyfile") if getattr(flags, name)}
    context = Context(Library(flags.library), flags.address, flags.transport, flags.crash, tls, flags.sasl and flags.sasl.split(":", 1))
    failed = False
    for function in CASES if flags.case == "all" else [named[flags.case]]:
        try:
            function(context)
            print("ok %s" % function.__name__, flush=True)
        except Exception as error:
            failed = True
            print("FAIL %s: %s: %s" % (function.__name__, type(error).__name__, error), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
