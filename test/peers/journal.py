"""Writes down what a server sees: each connection, when it came and which side ended it, and each handler that is at work.

A line is "TIME PID WHAT …", TIME in microseconds of a clock that all processes of the machine share:

    open N          a connection is served
    close N SIDE    it ended; SIDE is "peer" where the other side had closed before, else "server"
    enter, leave    the handler of `sleep`
"""

import _socket
import importlib
import itertools
import os
import time
import weakref


class Journal:
    """Lines go to the file as they are written, each whole, whichever process writes. Without a path nothing is written."""

    def __init__(self, path):
        self.file = path and os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.numbers = itertools.count(1)

    def write(self, *words):
        if self.file is not None:
            line = " ".join(str(w) for w in (int(time.monotonic() * 1e6), os.getpid()) + words)
            os.write(self.file, line.encode("ascii") + b"\n")

    def watch(self, library):
        """Has all the connections of the library's servers written down, of whatever kind the server is."""
        if self.file is None:
            return
        self._watch_blocking(library)
        for module, watch in (("contrib.aio.socket", self._watch_aio), ("tornado", self._watch_tornado)):
            try:
                watch(importlib.import_module("%s.%s" % (library.name, module)))
            except (ImportError, RuntimeError):  # not in this release, or not installed
                pass

    def opened(self):
        number = next(self.numbers)
        self.write("open", number)
        return number

    def _watch_blocking(self, library):
        journal, module = self, importlib.import_module(library.name + ".transport.socket")

        def watched(tsocket):
            number, close = journal.opened(), tsocket.close

            def closing():
                tsocket.close = close
                journal.write("close", number, ended_by(tsocket.sock))
                close()

            tsocket.close = closing
            return tsocket

        accept, set_handle = module.TServerSocket.accept, module.TSocket.set_handle
        module.TServerSocket.accept = lambda server: watched(accept(server))

        def handed(tsocket, sock):  # gunicorn's workers accept by themselves
            set_handle(tsocket, sock)
            watched(tsocket)

        module.TSocket.set_handle = handed

    def _watch_aio(self, module):
        journal, init, close = self, module.StreamHandler.__init__, module.StreamHandler.close

        def opened(stream, reader, writer, *more):
            init(stream, reader, writer, *more)
            number = journal.opened()
            # A stream that is cancelled is dropped, and not closed.
            stream.closed = weakref.finalize(stream, lambda: journal.write("close", number, "peer" if reader.at_eof() else "server"))

        def closing(stream):
            stream.closed()
            close(stream)

        module.StreamHandler.__init__, module.StreamHandler.close = opened, closing

    def _watch_tornado(self, module):
        journal, server = self, module.TTornadoServer
        handle = server.handle_stream

        def watched(tcp, stream, address):
            number, close = journal.opened(), stream.close

            def closing(*args, **named):
                stream.close = close
                journal.write("close", number, ended_by(stream.socket))
                close(*args, **named)

            stream.close = closing
            return handle(tcp, stream, address)

        server.handle_stream = watched


def ended_by(sock):
    """Who ended the connection of a socket that is about to be closed. Not by the socket's own methods: gevent's would wait."""
    try:
        bare = _socket.socket(fileno=os.dup(sock.fileno()))
    except OSError:
        return "peer"
    try:
        return "server" if bare.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) else "peer"
    except BlockingIOError:
        return "server"
    except OSError:
        return "peer"
    finally:
        bare.close()
