"""A worker of bench-cache: serves cache.thrift with ThriftPy2's make_server.

    worker.py cache.thrift HOST:PORT
"""

import sys

import thriftpy2
from thriftpy2.rpc import make_server


class Cached:
    def get(self, id, filter):
        return ("%d " % id).ljust(200, "x")

    def empty(self, n):
        return n


def main():
    idl, address = sys.argv[1:]
    host, _, port = address.rpartition(":")
    make_server(thriftpy2.load(idl, module_name="cache_thrift").Cached, Cached(), host, int(port)).serve()


if __name__ == "__main__":
    main()
