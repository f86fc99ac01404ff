"""Serves auto.thrift with ThriftPy2's make_server (a thread for each connection).

    server.py IDL SOCKET
"""

import sys
import time

import thriftpy2
from thriftpy2.rpc import make_server

auto = thriftpy2.load(sys.argv[1], module_name="auto_thrift")


def turn(n):
    x = 0
    for i in range(n):
        x += i
    return x


def turns_a_milli():
    """How many turns take a millisecond of this machine, the best of some tries."""
    best = None
    for _ in range(20):
        begin = time.perf_counter()
        turn(20000)
        took = time.perf_counter() - begin
        best = took if best is None else min(best, took)
    return int(20000 * 0.001 / best)


TURNS = turns_a_milli()


class Handler:
    def work(self, millis):
        turn(TURNS * millis)
        return millis

    def wait(self, millis):
        time.sleep(millis / 1000.0)
        return millis


make_server(auto.Auto, Handler(), unix_socket=sys.argv[2]).serve()
