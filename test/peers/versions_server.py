"""Serves versions.thrift with ThriftPy's make_server (a thread for each connection), as its first version or as the next.

    versions_server.py [--next] [--library thriftpy|thriftpy2] [--transport buffered|framed] PATH|PORT|HOST:PORT

The next version differs in one field: it writes cities in small letters. What is no difference differs too: the order of sets and maps, from
process to process; the time of an update; a field with the default of the IDL, which is written or left out.
"""

import argparse
import time

from library import Library, add_common_flags, place


class Versions:
    def __init__(self, idl, following):
        self.idl, self.following, self.put_calls = idl, following, 0

    def ping(self):
        pass

    def get(self, id):
        if id >= 400:
            raise self.idl.NotFound(id=id, message="there is no user %d" % id)
        words = ["a", "b", "c", "d", "e", "f", "g", "h"]
        if self.following:
            words.reverse()
        return self.idl.User(
            id=id,
            name="Ada",
            home=self.idl.Address(street="1 Main Street", city="bremen" if self.following else "Bremen"),
            tags=words,
            marks={word: ord(word) for word in words},
            updatedAt=time.time_ns(),
            level=None if self.following else 3,
        )

    def put(self, user):
        self.put_calls += 1

    def puts(self):
        return self.put_calls


def main():
    parser = argparse.ArgumentParser(description="Serves versions.thrift with ThriftPy.")
    add_common_flags(parser)
    parser.add_argument("--next", action="store_true", help="the next version")
    flags = parser.parse_args()
    library = Library(flags.library)
    idl = library.load("versions.thrift")
    server = library.rpc.make_server(
        idl.Versions, Versions(idl, flags.next), trans_factory=library.transport_factory(flags.transport), **place(flags.address))
    server.serve()


if __name__ == "__main__":
    main()
