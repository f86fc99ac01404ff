"""Serves kinds.thrift with ThriftPy, by default with make_server (a thread for each connection).

    server.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--kind KIND] [--record FILE] [--journal FILE] PATH|PORT|HOST:PORT

Of the kinds, `tornado` and `gunicorn-thrift-…` need the Python of a virtual environment of their own; see setup.sh.
"""

import argparse
import asyncio
import concurrent.futures
import importlib
import os
import socket
import threading
import sys
import time

from journal import Journal
from library import Library, add_common_flags, place


class Kinds:
    """What the methods do. With a file, servers that are given the same one share what they remember."""

    def __init__(self, kinds, record, journal):
        self.kinds = kinds
        self.record = record
        self.journal = journal
        self.words = []
        self.lock = threading.Lock()

    def ping(self):
        pass

    def echo(self, value):
        return value

    echoBool = echoByte = echoI16 = echoI32 = echoI64 = echoDouble = echoString = echoBinary = echo
    echoColor = echoBases = echoShape = echoValue = echoNested = echoShapes = echo

    def big(self, bytes):
        return "x" * bytes

    def sleep(self, millis):
        self.journal.write("enter")
        time.sleep(millis / 1000.0)
        self.journal.write("leave")
        return millis

    def pid(self):
        return os.getpid()

    def refuse(self, reason, code):
        raise self.kinds.Refused(reason=reason, code=code)

    def crash(self, reason):
        raise RuntimeError(reason)

    def remember(self, word, millis):
        time.sleep(millis / 1000.0)
        self.write(word)

    def stumble(self, word):
        self.write(word)
        raise RuntimeError(word)

    def remembered(self, prefix):
        return [word for word in self.read() if word.startswith(prefix)]

    def write(self, word):
        if self.record is None:
            with self.lock:
                self.words.append(word)
            return
        with open(self.record, "ab", buffering=0) as file:
            file.write(word.encode("utf-8") + b"\n")  # one write: whole lines, whoever else writes

    def read(self):
        if self.record is None:
            with self.lock:
                return list(self.words)
        if not os.path.exists(self.record):
            return []
        with open(self.record, "rb") as file:
            return file.read().decode("utf-8").splitlines()


def threaded(library, *args, **named):
    return library.rpc.make_server(*args, **named)


def simple(library, *args, **named):
    """Serves one connection at a time: another one waits until that is closed."""
    like = library.rpc.make_server(*args, **named)
    module = importlib.import_module(library.name + ".server")
    return module.TSimpleServer(like.processor, like.trans, like.itrans_factory, like.iprot_factory)


class Coroutines:
    """A handler whose methods are coroutines. All but sleep run the plain one in a thread, as blocking code in asyncio does."""

    def __init__(self, handler, threads=64):
        self._handler, self._threads = handler, concurrent.futures.ThreadPoolExecutor(threads)

    async def sleep(self, millis):
        self._handler.journal.write("enter")
        await asyncio.sleep(millis / 1000.0)
        self._handler.journal.write("leave")
        return millis

    def __getattr__(self, name):
        method = getattr(self._handler, name)

        async def call(*args):
            return await asyncio.get_running_loop().run_in_executor(self._threads, method, *args)

        return call


def aio(library, service, handler, trans_factory, **where):
    """ThriftPy2 only. Ends each connection 3 s after it was made, whatever happens on it. Unframed."""
    return library.rpc.make_aio_server(service, Coroutines(handler), **where)


def multiplexed(library, service, handler, **named):
    """Threaded; methods are called as Kinds:method."""
    like = library.rpc.make_server(service, handler, **named)
    processors = library.thrift.TMultiplexedProcessor()
    processors.register_processor(service.__name__, like.processor)
    like.processor = processors
    return like


class Futures:
    """The same for Tornado: what a method returns is at work already."""

    def __init__(self, handler):
        self._coroutines = Coroutines(handler)

    def __getattr__(self, name):
        method = getattr(self._coroutines, name)
        return lambda *args: asyncio.ensure_future(method(*args))


class tornado:
    """ThriftPy2 before 0.7 only. Framed, whatever the flag says, and binary; answers oneways too."""

    def __init__(self, library, service, handler, trans_factory, host, port):
        module = importlib.import_module(library.name + ".tornado")
        self.server, self.host, self.port = module.make_server(service, Futures(handler)), host, port

    def serve(self):
        async def forever():
            self.server.listen(self.port, self.host)
            await asyncio.Event().wait()

        asyncio.run(forever())


SERVERS = {"threaded": threaded, "simple": simple, "aio": aio, "multiplexed": multiplexed, "tornado": tornado}

# What gunicorn is started with. That of gunicorn_thrift is a program of its own.
GUNICORN = {
    "gunicorn-thrift-sync": ["-c", "from gunicorn_thrift.thriftapp import run; run()", "-k", "thriftpy_sync", "gunicorn_app:processor"],
    "gunicorn-thrift-gevent": ["-c", "from gunicorn_thrift.thriftapp import run; run()", "-k", "thriftpy_gevent", "gunicorn_app:processor"],
    "gunicorn-sync": ["-m", "gunicorn", "--no-control-socket", "-k", "gunicorn_workers.ThriftSyncWorker", "gunicorn_app:make_processor"],
    "gunicorn-async": ["-m", "gunicorn", "--no-control-socket", "-k", "gunicorn_workers.ThriftAsyncWorker", "gunicorn_app:make_async_processor"],
}


def gunicorn(flags, more):
    """Becomes gunicorn's master."""
    os.environ.update({name: value for name, value in (("PEER_RECORD", flags.record), ("PEER_JOURNAL", flags.journal)) if value})
    here, where = os.path.dirname(os.path.abspath(__file__)), place(flags.address)
    bind = "unix:" + where["unix_socket"] if "unix_socket" in where else "%s:%d" % (where["host"], where["port"])
    os.execv(sys.executable, [sys.executable] + GUNICORN[flags.kind] + ["--chdir", here, "--pythonpath", here, "--bind", bind] + more)


def prepare(name, record, journal):
    """The library, what it made of kinds.thrift, and the handler."""
    library, journal = Library(name), Journal(journal)
    journal.watch(library)
    kinds = library.load("kinds.thrift")
    return library, kinds, Kinds(kinds, record, journal)


def main():
    parser = argparse.ArgumentParser(description="Serves kinds.thrift with ThriftPy.")
    add_common_flags(parser)
    parser.add_argument("--kind", choices=sorted(SERVERS) + sorted(GUNICORN), default="threaded", help="gunicorn's get gunicorn's own flags too")
    parser.add_argument("--record", metavar="FILE", help="where oneways are recorded; default: in memory")
    parser.add_argument("--journal", metavar="FILE", help="where connections and handlers are written down; see journal.py")
    parser.add_argument("--client-timeout", metavar="MILLIS", type=int, help="after which a connection is closed; default: the library's")
    flags, more = parser.parse_known_args()
    if flags.kind in GUNICORN:
        gunicorn(flags, more)
    if more:
        parser.error("unknown: " + " ".join(more))
    where = place(flags.address)
    if "unix_socket" in where and hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT  # ThriftPy 0.3.9 sets it on unix sockets too, which newer Linux kernels refuse
    if flags.client_timeout:
        where["client_timeout"] = flags.client_timeout
    library, kinds, handler = prepare(flags.library, flags.record, flags.journal)
    server = SERVERS[flags.kind](library, kinds.Kinds, handler, trans_factory=library.transport_factory(flags.transport), **where)
    print("%s serves %s at %s" % (library.name, flags.transport, flags.address), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
