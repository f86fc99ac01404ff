"""Calls Users again and again as a plain ThriftPy client does, and opens a new connection where one has ended.

    client.py [--connections N] [--rate N] [--timeout MILLIS] [PORT]

It knows nothing of Thriftloom, and tries no call twice. Each connection is a thread. Twice a second, and behind SIGTERM or ctrl-c, it prints a
line of JSON: calls, connections that were opened, calls that failed, and how the last ones did.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time

try:
    import thriftpy2 as thriftpy
    from thriftpy2.rpc import make_client
except ImportError:
    import thriftpy
    from thriftpy.rpc import make_client

here = os.path.dirname(os.path.abspath(__file__))
users = thriftpy.load(os.path.join(here, "..", "users", "users.thrift"), module_name="users_thrift")

lock = threading.Lock()
seen = {"calls": 0, "opened": 0, "failed": 0, "last": []}
going = threading.Event()


def count(key, text=None):
    with lock:
        seen[key] += 1
        if text:
            seen["last"] = seen["last"][-9:] + [text]


def run(port, pause, timeout):
    client = None
    while not going.is_set():
        try:
            if client is None:
                client = make_client(users.Users, "127.0.0.1", port, timeout=timeout)
                count("opened")
            if client.getUser(7).id != 7:
                count("failed", "another user")
        except Exception as error:  # the connection is of no use any more: the next call opens a new one
            count("failed", "%s: %s" % (type(error).__name__, getattr(error, "message", None) or error))
            if client is not None:
                client.close()
            client = None
        count("calls")
        going.wait(pause)
    if client is not None:
        client.close()


def say():
    with lock:
        print(json.dumps(seen), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Calls Users again and again.")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=200, help="calls a second, all connections together")
    parser.add_argument("--timeout", type=int, default=3000, help="of a call, in milliseconds")
    parser.add_argument("port", type=int, nargs="?", default=6100)
    args = parser.parse_args()
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: going.set())
    threads = [threading.Thread(target=run, args=(args.port, args.connections / args.rate, args.timeout)) for _ in range(args.connections)]
    for t in threads:
        t.start()
    while not going.wait(0.5):
        say()
    for t in threads:
        t.join()
    say()
    return 0


if __name__ == "__main__":
    sys.exit(main())
