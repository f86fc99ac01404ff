"""How each Python library makes clients and servers of a wire, which is TRANSPORT-PROTOCOL[-multiplexed].

The libraries are thriftpy2, thriftpy (0.3.9) and apache: Apache Thrift's, with the code that thrift-compiler makes of kinds.thrift.
"""

import importlib
import os
import socketserver
import sys
import types
import urllib.parse

from library import Library, place

BACKLOG = 128  # http.server's own 5 makes the sixth of a hundred clients wait for a second


class Wire:
    def __init__(self, name):
        self.name = name
        self.transport, self.protocol, *more = name.split("-")
        self.multiplexed = more == ["multiplexed"]


class Fresh:
    """A client that makes another for each call."""

    def __init__(self, connect):
        self._connect = connect

    def __getattr__(self, name):
        def call(*args):
            client = self._connect()
            try:
                return getattr(client, name)(*args)
            finally:
                client.close()

        return call

    def close(self):
        pass


class ThriftPy:
    """Either ThriftPy."""

    PROTOCOLS = {
        "binary": ("binary", "TBinaryProtocolFactory"), "compact": ("compact", "TCompactProtocolFactory"),
        "json": ("json", "TJSONProtocolFactory"), "apachejson": ("apache_json", "TApacheJSONProtocolFactory")}

    def __init__(self, name):
        self.library = Library(name)
        self.name, self.thrift, self.load = name, self.library.thrift, self.library.load

    def module(self, name):
        return importlib.import_module("%s.%s" % (self.name, name))

    def protocol(self, wire):
        if wire.protocol == "binary":
            return self.module("protocol").TBinaryProtocolFactory()  # the fast one where there is one
        module, factory = self.PROTOCOLS[wire.protocol]
        return getattr(self.module("protocol." + module), factory)()

    def client(self, service, wire, address, timeout):
        if wire.protocol == "apachejson":  # its protocol object keeps the first message and reads no other
            return Fresh(lambda: self.one_client(service, wire, address, timeout))
        return self.one_client(service, wire, address, timeout)

    def one_client(self, service, wire, address, timeout):
        factory, where = self.protocol(wire), place(address)
        if wire.multiplexed:
            factory = self.module("protocol.multiplex").TMultiplexedProtocolFactory(factory, "Kinds")
        if wire.transport == "http":
            return self.module("http").make_client(service, proto_factory=factory, path="/", timeout=timeout, **where)
        return self.library.rpc.make_client(
            service, proto_factory=factory, trans_factory=self.library.transport_factory(wire.transport), timeout=timeout, **where)

    def server(self, kinds, wire, handler, port):
        processor = self.thrift.TProcessor(kinds.Kinds, handler)
        if wire.multiplexed:
            several = self.thrift.TMultiplexedProcessor()
            several.register_processor("Kinds", processor)
            processor = several
        if wire.transport == "http":
            buffered = self.library.transport_factory("buffered")
            return self.module("http").THttpServer(processor, ("127.0.0.1", port), buffered, self.protocol(wire), threading_http())
        made = self.library.rpc.make_server(
            kinds.Kinds, handler, "127.0.0.1", port, proto_factory=self.protocol(wire),
            trans_factory=self.library.transport_factory(wire.transport))
        made.processor = processor
        return made


class Apache:
    """Apache Thrift's own library, under the names that client.py uses of a ThriftPy."""

    def __init__(self, generated):
        sys.path.insert(0, generated)
        self.name, self.thrift = "apache", importlib.import_module("thrift.Thrift")

    def load(self, file):
        """A module with all that the IDL names. The generated folder is named for the file."""
        package = file.replace(".thrift", "")
        loaded = types.SimpleNamespace(**vars(importlib.import_module(package + ".ttypes")))
        folder = os.path.dirname(importlib.import_module(package).__file__)
        for name in os.listdir(folder):
            if name.endswith(".py") and name not in ("__init__.py", "ttypes.py", "constants.py"):
                setattr(loaded, name[:-3], importlib.import_module("%s.%s" % (package, name[:-3])))
        return loaded

    def protocol(self, wire):
        if wire.transport in ("header", "headerzlib"):
            header = importlib.import_module("thrift.protocol.THeaderProtocol")
            sub = importlib.import_module("thrift.transport.THeaderTransport").THeaderSubprotocolID
            return header.THeaderProtocolFactory(default_protocol=getattr(sub, wire.protocol.upper()))
        module, factory = {
            "binary": ("TBinaryProtocol", "TBinaryProtocolAcceleratedFactory"),
            "compact": ("TCompactProtocol", "TCompactProtocolAcceleratedFactory"),
            "apachejson": ("TJSONProtocol", "TJSONProtocolFactory")}[wire.protocol]
        return getattr(importlib.import_module("thrift.protocol." + module), factory)()

    def transport(self, wire):
        module = importlib.import_module("thrift.transport.TTransport")
        return {"buffered": module.TBufferedTransportFactory, "framed": module.TFramedTransportFactory}.get(
            wire.transport, module.TTransportFactoryBase)()  # the header protocol brings its transport itself

    def client(self, service, wire, address, timeout):
        if wire.transport == "http":
            below = importlib.import_module("thrift.transport.THttpClient").THttpClient("http://%s/" % address)
            below.setTimeout(timeout)
        else:
            where = place(address)
            socket = importlib.import_module("thrift.transport.TSocket").TSocket(where["host"], where["port"])
            socket.setTimeout(timeout)
            below = self.transport(wire).getTransport(socket)
        protocol = self.protocol(wire).getProtocol(below)
        if wire.transport == "headerzlib":
            protocol.add_transform(importlib.import_module("thrift.transport.THeaderTransport").THeaderTransformID.ZLIB)
        if wire.multiplexed:
            protocol = importlib.import_module("thrift.protocol.TMultiplexedProtocol").TMultiplexedProtocol(protocol, "Kinds")
        below.open()
        client = service.Client(protocol)
        client.close = below.close
        return client

    def server(self, kinds, wire, handler, port):
        processor = kinds.Kinds.Processor(handler)
        if wire.multiplexed:
            several = importlib.import_module("thrift.TMultiplexedProcessor").TMultiplexedProcessor()
            several.registerProcessor("Kinds", processor)
            processor = several
        if wire.transport == "http":
            # It keeps the state of a call in the server, so it can have one call at a time only.
            return importlib.import_module("thrift.server.THttpServer").THttpServer(
                processor, ("127.0.0.1", port), self.protocol(wire), server_class=http_class())
        listener = importlib.import_module("thrift.transport.TSocket").TServerSocket("127.0.0.1", port)
        return importlib.import_module("thrift.server.TServer").TThreadedServer(
            processor, listener, self.transport(wire), self.protocol(wire), daemon=True)


def http_class(*more):
    server = importlib.import_module("http.server").HTTPServer
    return type("Server", more + (server,), {"request_queue_size": BACKLOG})


def threading_http():
    return http_class(type("Threads", (socketserver.ThreadingMixIn,), {"daemon_threads": True}))


def library(name, generated):
    return Apache(generated) if name == "apache" else ThriftPy(name)
