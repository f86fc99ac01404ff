"""Workers for stock gunicorn: those of thriftpy2.contrib.gunicorn where the release has them, else two of our own that keep to the same
rules. A connection is closed after `keepalive` seconds without a call, once the worker is to leave, and by `max_requests` calls.

In one thing ours are stricter: a connection that is accepted gets its first call answered, also by a worker that is to leave.
"""

import asyncio
import os
import signal

from gunicorn.workers import base, sync
from thriftpy2.protocol import TBinaryProtocolFactory
from thriftpy2.transport import TBufferedTransportFactory, TSocket, TTransportException

try:
    from thriftpy2.contrib.gunicorn import ThriftAsyncWorker, ThriftSyncWorker
except ImportError:
    from thriftpy2.contrib.aio.protocol.binary import TAsyncBinaryProtocolFactory
    from thriftpy2.contrib.aio.socket import StreamHandler
    from thriftpy2.contrib.aio.transport.buffered import TAsyncBufferedTransportFactory

    class Stream(StreamHandler):
        """A stream of which the first byte may have been read already."""

        first = b""

        async def read(self, size):
            first, self.first = self.first, b""
            return first or await super().read(size)

    def done_one(worker):
        """Counts a call; at the last that the worker is for, it is to leave."""
        worker.nr += 1
        if worker.nr >= worker.max_requests:
            worker.alive = False

    class ThriftSyncWorker(sync.SyncWorker):
        def handle(self, listener, client, addr):
            client.settimeout(self.cfg.keepalive)
            connection = TSocket()
            connection.set_handle(client)
            transport = TBufferedTransportFactory().get_transport(connection)
            protocol = TBinaryProtocolFactory().get_protocol(transport)
            processor, fresh = self.wsgi(), True
            try:
                while self.alive or fresh:
                    processor.process(protocol, protocol)
                    fresh = False
                    done_one(self)
                    self.notify()
            except (TTransportException, OSError):  # closed by the peer, or idle
                pass
            except Exception:
                self.log.exception("a call failed")
            finally:
                transport.close()

    class ThriftAsyncWorker(base.Worker):
        def init_signals(self):
            super().init_signals()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the loop's, below

        def run(self):
            asyncio.run(self.serve())

        async def serve(self):
            loop, self.leaves = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, self.leaves.set)
            self.processor, self.open, self.idle = self.wsgi(), 0, set()
            servers = [await asyncio.start_server(self.connected, sock=getattr(s, "sock", s)) for s in self.sockets]
            while not self.leaves.is_set() and self.alive and self.ppid == os.getppid():
                self.notify()
                await asyncio.wait([asyncio.ensure_future(self.leaves.wait())], timeout=1)
            for s in servers:  # first of all: who is accepted is to be served
                s.close()
            self.alive = False
            end = loop.time() + self.cfg.graceful_timeout
            while self.open and loop.time() < end:
                for task in list(self.idle):
                    task.cancel()
                await asyncio.sleep(0.05)

        async def connected(self, reader, writer):
            stream = Stream(reader, writer)
            transport = TAsyncBufferedTransportFactory().get_transport(stream)
            protocol, fresh = TAsyncBinaryProtocolFactory().get_protocol(transport), True
            self.open += 1
            try:
                while self.alive or fresh:
                    stream.first, fresh = await self.first_byte(reader, fresh), False
                    await self.processor.process(protocol, protocol)
                    done_one(self)
                    if not self.alive:
                        self.leaves.set()
            except (TTransportException, OSError, asyncio.TimeoutError, asyncio.CancelledError):
                pass
            except Exception:
                self.log.exception("a call failed")
            finally:
                self.open -= 1
                stream.close()

        async def first_byte(self, reader, fresh):
            """Waits for the next call: the time for which a connection may be idle. One that has had a call may be closed meanwhile."""
            me = asyncio.current_task()
            if not fresh:
                self.idle.add(me)
            try:
                return await asyncio.wait_for(reader.read(1), self.cfg.keepalive)
            finally:
                self.idle.discard(me)
