"""Calls a cached service by way of two gateways, and says on standard output what it gets and how often the server was asked.

    client.py users.thrift FIRST:PORT SECOND:PORT WIRE

WIRE is buffered (strict binary, ThriftPy's default), framed (the same in frames), or compact (compact, in frames).
"""

import sys
import time

try:
    import thriftpy2 as thriftpy
    from thriftpy2.protocol import TBinaryProtocolFactory, TCompactProtocolFactory
    from thriftpy2.rpc import make_client
    from thriftpy2.transport import TBufferedTransportFactory, TFramedTransportFactory
except ImportError:
    import thriftpy
    from thriftpy.protocol import TBinaryProtocolFactory, TCompactProtocolFactory
    from thriftpy.rpc import make_client
    from thriftpy.transport import TBufferedTransportFactory, TFramedTransportFactory

idl, first, second, wire = sys.argv[1:]
t = thriftpy.load(idl, module_name="users_thrift")


def client(at):
    host, _, port = at.rpartition(":")
    protocol = TCompactProtocolFactory if wire == "compact" else TBinaryProtocolFactory
    transport = TBufferedTransportFactory if wire == "buffered" else TFramedTransportFactory
    return make_client(t.Users, host, int(port), proto_factory=protocol(), trans_factory=transport(), timeout=20000)


a, b = client(first), client(second)
last = [a.loads()]


def tell(what, got):
    loads = a.loads()
    print("%s: %s; asked %d" % (what, got, loads - last[0]))
    last[0] = loads


def show(u):
    return "%d %s %s %s %s" % (u.id, u.name, sorted(u.marks.items()), sorted(u.tags), [(p.street, p.city) for p in u.places])


def missing(c, id):
    try:
        return show(c.getUser(id))
    except t.NotFound as e:
        return "NotFound %d" % e.id


def query(ranges, ids):
    return t.Query(text="a", ranges=dict(ranges), ids=set(ids))


tell("one by one", show(a.getUser(1)))
tell("again", show(a.getUser(1)))
tell("the other gateway", show(b.getUser(1)))
tell("another id", show(b.getUser(2)))
tell("an exception", missing(a, 99))
tell("again", missing(b, 99))
tell("a struct", len(a.search(query([("x", 1), ("y", 2)], [3, 1, 2]), 1)))
tell("in another order", len(b.search(query([("y", 2), ("x", 1)], [2, 3, 1]), 1)))
tell("another one", len(b.search(query([("y", 2), ("x", 2)], [2, 3, 1]), 1)))
a.putUser(t.User(id=1, name="Grace"))
tell("after a write", show(a.getUser(1)))
time.sleep(0.5)
tell("on the other gateway", show(b.getUser(1)))
try:
    a.putUser(t.User(id=-1, name="nobody"))
except t.NotFound as e:
    print("a write that fails: NotFound %d" % e.id)
tell("after that", show(a.getUser(1)))
b.removeUser(2)
time.sleep(0.5)
tell("removed by way of the other", missing(a, 2))
a.touch(1)
tell("a oneway between", show(a.getUser(1)))
a.close()
b.close()
