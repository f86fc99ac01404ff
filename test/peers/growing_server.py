"""Serves an IDL that may grow, read at the start, with ThriftPy's make_server (a thread for each connection).

    growing_server.py --idl FILE [--journal FILE] [--client-timeout MILLIS] [--library thriftpy|thriftpy2] PATH|PORT|HOST:PORT

The service is Growing. Of its methods and fields it serves those that the IDL has.
"""

import argparse
import os
import time

from journal import Journal
from library import Library, add_common_flags, place


class Growing:
    def __init__(self, idl):
        self.idl = idl

    def ping(self):
        pass

    def pid(self):
        return os.getpid()

    def sleep(self, millis):
        time.sleep(millis / 1000.0)
        return millis

    def get(self, id, mark=None):
        """The user; what the caller may say since the IDL has grown comes back in it."""
        user = self.idl.User(id=id, name="Ada")
        if hasattr(user, "mark"):
            user.mark = mark or "none"
        return user

    def more(self):
        return "more"


def main():
    parser = argparse.ArgumentParser(description="Serves an IDL that may grow with ThriftPy.")
    add_common_flags(parser)
    parser.add_argument("--idl", required=True, metavar="FILE")
    parser.add_argument("--journal", metavar="FILE", help="where connections are written down; see journal.py")
    parser.add_argument("--client-timeout", metavar="MILLIS", type=int, help="after which a connection is closed; default: the library's")
    flags = parser.parse_args()
    library = Library(flags.library)
    Journal(flags.journal).watch(library)
    idl = library.top.load(flags.idl, module_name="growing_thrift")
    where = place(flags.address)
    if flags.client_timeout is not None:
        where["client_timeout"] = flags.client_timeout
    library.rpc.make_server(idl.Growing, Growing(idl), trans_factory=library.transport_factory(flags.transport), **where).serve()


if __name__ == "__main__":
    main()
