"""Serves kinds.thrift with ThriftPy's make_server (a thread for each connection).

    server.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--record FILE] PATH|PORT|HOST:PORT
"""

import argparse
import asyncio
import concurrent.futures
import importlib
import os
import socket
import threading
import time

from library import Library, add_common_flags, place


class Kinds:
    """What the methods do. With a file, servers that are given the same one share what they remember."""

    def __init__(self, kinds, record):
        self.kinds = kinds
        self.record = record
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
        time.sleep(millis / 1000.0)
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
    """A handler whose methods are coroutines: each runs the plain one in a thread, as blocking code in asyncio does."""

    def __init__(self, handler, threads=64):
        self._handler, self._threads = handler, concurrent.futures.ThreadPoolExecutor(threads)

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


SERVERS = {"threaded": threaded, "simple": simple, "aio": aio, "multiplexed": multiplexed}


def main():
    parser = argparse.ArgumentParser(description="Serves kinds.thrift with ThriftPy.")
    add_common_flags(parser)
    parser.add_argument("--kind", choices=sorted(SERVERS), default="threaded")
    parser.add_argument("--record", metavar="FILE", help="where oneways are recorded; default: in memory")
    flags = parser.parse_args()
    where = place(flags.address)
    if "unix_socket" in where and hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT  # ThriftPy 0.3.9 sets it on unix sockets too, which newer Linux kernels refuse
    library = Library(flags.library)
    kinds = library.load("kinds.thrift")
    server = SERVERS[flags.kind](
        library, kinds.Kinds, Kinds(kinds, flags.record), trans_factory=library.transport_factory(flags.transport), **where)
    print("%s serves %s at %s" % (library.name, flags.transport, flags.address), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
