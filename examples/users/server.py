"""The Users service, as ThriftPy serves it: `server.py PATH` (a unix socket) or `server.py PORT`."""

import logging
import os
import socket
import sys

try:
    import thriftpy2 as thriftpy
    from thriftpy2.rpc import make_server
except ImportError:
    import thriftpy
    from thriftpy.rpc import make_server

here = os.path.dirname(os.path.abspath(__file__))
users = thriftpy.load(os.path.join(here, "users.thrift"), module_name="users_thrift")

NAMES = ["Ada", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "Joan", "Katherine", "Leslie"]


def user(number, name):
    return users.User(
        id=number,
        name=name,
        email="%s@example.com" % name.lower() if number % 3 else None,
        role=users.Role.OWNER if number == 1 else users.Role.READER,
        address=users.Address(street="%d Main Street" % number, city="Springfield"),
        tags=["even" if number % 2 == 0 else "odd"],
    )


class Users:
    def __init__(self):
        self.users = {number: user(number, name) for number, name in enumerate(NAMES, 1)}

    def ping(self):
        pass

    def getUser(self, id):
        if id not in self.users:
            raise users.NotFound(id=id, message="there is no user %d" % id)
        return self.users[id]

    def listUsers(self, limit):
        return [self.users[id] for id in sorted(self.users)][: limit or None]

    def track(self, event):
        logging.info("event: %s", event)


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    where = sys.argv[1] if len(sys.argv) > 1 else "9090"
    place = {"unix_socket": where} if "/" in where else {"host": "127.0.0.1", "port": int(where)}
    if "unix_socket" in place and hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT  # ThriftPy 0.3.9 sets it on unix sockets too, which newer Linux kernels refuse
    server = make_server(users.Users, Users(), **place)
    logging.info("serving at %s", where)
    server.serve()


if __name__ == "__main__":
    main()
