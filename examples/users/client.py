"""Calls Users as ThriftPy does: `client.py [PORT or PATH [ID]]`. It knows nothing of Thriftloom."""

import os
import sys

try:
    import thriftpy2 as thriftpy
    from thriftpy2.rpc import make_client
except ImportError:
    import thriftpy
    from thriftpy.rpc import make_client

here = os.path.dirname(os.path.abspath(__file__))
users = thriftpy.load(os.path.join(here, "users.thrift"), module_name="users_thrift")


def main():
    where = sys.argv[1] if len(sys.argv) > 1 else "6100"
    place = {"unix_socket": where} if "/" in where else {"host": "127.0.0.1", "port": int(where)}
    client = make_client(users.Users, **place)
    try:
        print(client.getUser(int(sys.argv[2]) if len(sys.argv) > 2 else 7))
    except users.NotFound as missing:
        print("not found: %s" % missing.message)
    finally:
        client.close()


if __name__ == "__main__":
    main()
