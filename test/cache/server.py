"""Serves users.thrift with the ThriftPy of the Python that runs it, and counts what it is asked for.

    server.py users.thrift HOST:PORT
"""

import sys

try:
    import thriftpy2 as thriftpy
    from thriftpy2.rpc import make_server
except ImportError:
    import thriftpy
    from thriftpy.rpc import make_server

t = thriftpy.load(sys.argv[1], module_name="users_thrift")


class Users(object):
    def __init__(self):
        self.count = 0
        self.all = dict((id, "user %d" % id) for id in range(10))

    def user(self, id):
        return t.User(
            id=id, name=self.all[id], marks={"a": 1, "b": 2}, tags=set(["x", "y"]), places=[t.Place(street="1 Main Street", city="Bremen")]
        )

    def getUser(self, id):
        self.count += 1
        if id not in self.all:
            raise t.NotFound(id=id)
        return self.user(id)

    def search(self, query, page):
        self.count += 1
        return [self.user(id) for id in sorted(query.ids or self.all)]

    def putUser(self, user):
        if user.id < 0:
            raise t.NotFound(id=user.id)
        self.all[user.id] = user.name

    def removeUser(self, id):
        self.all.pop(id, None)

    def loads(self):
        return self.count

    def touch(self, id):
        pass


host, _, port = sys.argv[2].rpartition(":")
make_server(t.Users, Users(), host, int(port)).serve()
