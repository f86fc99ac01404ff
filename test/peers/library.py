"""Either ThriftPy, under one name: the modules that server.py and client.py need."""

import importlib
import os

HERE = os.path.dirname(os.path.abspath(__file__))


class Library:
    """The modules of thriftpy2 or of the original thriftpy; without a name, of the first that is installed."""

    def __init__(self, name=None):
        if name is None:
            self.top = self._first("thriftpy2", "thriftpy")
        else:
            self.top = importlib.import_module(name)
        self.name = self.top.__name__
        self.rpc, self.thrift, self.transport = (
            importlib.import_module("%s.%s" % (self.name, part)) for part in ("rpc", "thrift", "transport"))

    @staticmethod
    def _first(*names):
        for name in names:
            try:
                return importlib.import_module(name)
            except ImportError:
                pass
        raise SystemExit("neither of %s is installed; see setup.sh" % " and ".join(names))

    def load(self, file):
        return self.top.load(os.path.join(HERE, file), module_name=file.replace(".thrift", "_thrift"))

    def transport_factory(self, kind):
        factories = {"buffered": self.transport.TBufferedTransportFactory, "framed": self.transport.TFramedTransportFactory}
        return factories[kind]()


def place(address):
    """What make_server and make_client take for an address: a path, a port, or host:port."""
    if address.startswith("unix:"):
        address = address[len("unix:"):]
    if "/" in address:
        return {"unix_socket": address}
    host, _, port = address.rpartition(":")
    return {"host": host or "127.0.0.1", "port": int(port)}


def add_common_flags(parser):
    parser.add_argument("address", help="PATH, PORT or HOST:PORT")
    parser.add_argument("--library", choices=["thriftpy", "thriftpy2"], help="default: the first of thriftpy2 and thriftpy that is installed")
    parser.add_argument("--transport", choices=["buffered", "framed"], default="buffered")
