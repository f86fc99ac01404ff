"""Calls kinds.thrift at a steady rate until SIGTERM, over one connection, and checks what it gets.

    caller.py [--library thriftpy|thriftpy2] [--rate N] PATH|PORT|HOST:PORT

Each call that did not go well is a line {"start", "end", "method", "text"} (times since the epoch, in seconds); the last line is
{"calls": N}.
"""

import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from library import Library, add_common_flags, place  # noqa: E402

TIMEOUT_MS = 60000


class Caller:
    def __init__(self, library, address, transport):
        self.library, self.address, self.transport = library, address, transport
        self.kinds = library.load("kinds.thrift")
        self.client, self.calls, self.going = None, 0, True

    def connected(self):
        if self.client is None:
            self.client = self.library.rpc.make_client(
                self.kinds.Kinds, trans_factory=self.library.transport_factory(self.transport), timeout=TIMEOUT_MS, **place(self.address))
        return self.client

    def echoString(self, n):
        text = "call %d of %d" % (n, os.getpid())
        return self.connected().echoString(text), text

    def sleep(self, n):
        return self.connected().sleep(n % 20), n % 20

    def big(self, n):
        return len(self.connected().big(n % 20000)), n % 20000

    def refuse(self, n):
        try:
            return self.connected().refuse("not today", n), "Refused"
        except self.kinds.Refused as refused:
            return refused.code, n

    def call(self, n):
        method = (self.echoString, self.sleep, self.big, self.refuse)[n % 4]
        start, text = time.time(), None
        try:
            got, want = method(n)
            if got != want:
                text = "WRONG ANSWER: %.100r, want %.100r" % (got, want)
        except self.library.thrift.TApplicationException as error:
            text = str(error.message)
        except Exception as error:  # the connection broke
            text = "CONNECTION: %s: %s" % (type(error).__name__, error)
            if self.client is not None:
                self.client.close()
            self.client = None
        self.calls += 1
        if text is not None:
            print(json.dumps({"start": start, "end": time.time(), "method": method.__name__, "text": text}), flush=True)

    def stop(self, *_):
        self.going = False

    def run(self, rate):
        due = time.time()
        while self.going:
            self.call(self.calls)
            due = max(due + 1.0 / rate, time.time() - 1)  # what a stall has cost is not made up for
            time.sleep(max(0.0, due - time.time()))
        print(json.dumps({"calls": self.calls}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Calls kinds.thrift at a steady rate.")
    add_common_flags(parser)
    parser.add_argument("--rate", type=float, default=20)
    flags = parser.parse_args()
    caller = Caller(Library(flags.library), flags.address, flags.transport)
    signal.signal(signal.SIGTERM, caller.stop)
    caller.run(flags.rate)


if __name__ == "__main__":
    main()
