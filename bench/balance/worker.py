"""A worker of bench-balance: serves work.thrift with ThriftPy2's make_server, a thread for each connection.

    worker.py work.thrift HOST:PORT

It works at one call at a time, as under the interpreter's lock, for as long as the call says: it sleeps, so that four of them are at work at
once on a machine with two processors, beside callers and a proxy.
"""

import sys
import threading
import time

import thriftpy2
from thriftpy2.rpc import make_server


class Work:
    def __init__(self):
        self.lock, self.speed, self.failing = threading.Lock(), 1.0, False

    def work(self, micros):
        if self.failing:
            raise RuntimeError("on purpose")
        with self.lock:
            time.sleep(micros / 1e6 / self.speed)
        return micros

    def pace(self, speed):
        self.speed = speed

    def fail(self, on):
        self.failing = on


def main():
    idl, address = sys.argv[1:]
    host, _, port = address.rpartition(":")
    make_server(thriftpy2.load(idl, module_name="work_thrift").Work, Work(), host, int(port)).serve()


if __name__ == "__main__":
    main()
