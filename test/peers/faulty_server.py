"""Serves faulty.thrift with ThriftPy's make_server (a thread for each connection): a process that fails as it is told.

    faulty_server.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--without METHOD] PATH|PORT|HOST:PORT
"""

import argparse
import ctypes
import gc
import os
import resource
import signal
import socket
import time

from library import Library, add_common_flags, place


class Faulty:
    def ping(self):
        pass

    calls, failing_till, grey_till = 0, 0, 0

    def pid(self):
        self.calls += 1
        if time.time() < self.failing_till or time.time() < self.grey_till and self.calls % 3 == 0:
            raise RuntimeError("on purpose")
        return os.getpid()

    def sleep(self, millis):
        time.sleep(millis / 1000.0)
        return millis

    def refuse(self):
        raise self.refused("on purpose")

    def misbehave(self, how, amount):
        return getattr(self, "by_" + how)(amount)

    def by_failing(self, millis):
        """Lets every pid fail for so long, with an exception that nobody declared."""
        self.failing_till = time.time() + millis / 1000.0
        return os.getpid()

    def by_grey(self, millis):
        """The same of one in three."""
        self.grey_till = time.time() + millis / 1000.0
        return os.getpid()

    def by_exit(self, status):
        """Ends the process at once, with that status."""
        os._exit(status)

    def by_leaving(self, _):
        """Ends the handler's thread, as sys.exit in a handler does."""
        raise SystemExit("on purpose")

    def by_oom_killer(self, _):
        """What the kernel does to a process when memory is at its end."""
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def by_memory(self, mebibytes):
        """Takes more memory than it may have."""
        with Limit(resource.RLIMIT_AS, pages() + (16 << 20)):
            return len(bytearray(mebibytes << 20))

    def by_gil(self, millis):
        """Keeps the interpreter to itself: what C code does that does not let go of its lock."""
        ctypes.PyDLL(None).usleep(millis * 1000)
        return millis

    def by_gc(self, thousands):
        """Lets the collector walk that many thousand cycles, which stops every thread. Returns how long, in milliseconds."""
        gc.disable()
        for _ in range(thousands * 1000):
            cycle = []
            cycle.append(cycle)
        gc.enable()
        start = time.time()
        gc.collect()
        return int((time.time() - start) * 1000)

    def by_forks(self, children):
        """Starts more processes than it may, in vain, and ends them. Returns how many it could start."""
        forked = []
        try:
            with Processes(children):
                while len(forked) < 10 * children:
                    child = os.fork()
                    if child == 0:
                        time.sleep(60)
                        os._exit(0)
                    forked.append(child)
        except OSError:
            return len(forked)
        finally:
            for child in forked:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        raise AssertionError("%d processes, and no limit" % len(forked))

    def by_threads(self, millis):
        """Can start no thread for so long: who connects is accepted and not served."""
        with Processes(0):
            time.sleep(millis / 1000.0)
        return millis


class Limit:
    """A limit of this process for the time of a with."""

    def __init__(self, what, soft):
        self.what, self.soft = what, soft

    def __enter__(self):
        self.before = resource.getrlimit(self.what)
        resource.setrlimit(self.what, (self.soft, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(self.what, self.before)


class Processes(Limit):
    """The limit on processes and threads of this process's user: so many more than there are. Root has none, so it becomes somebody
    else, for good."""

    USER = 60000 + os.getpid() % 5000  # nobody else's

    def __init__(self, more):
        if os.getuid() == 0:
            os.setresuid(self.USER, self.USER, self.USER)
        Limit.__init__(self, resource.RLIMIT_NPROC, threads_of(os.getuid()) + more)


def threads_of(user):
    count = 0
    for process in os.listdir("/proc"):
        try:
            if process.isdigit() and os.stat("/proc/" + process).st_uid == user:
                count += len(os.listdir("/proc/%s/task" % process))
        except OSError:  # it has ended meanwhile
            pass
    return count


def pages():
    """The bytes of address space that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main():
    parser = argparse.ArgumentParser(description="Serves faulty.thrift with ThriftPy.")
    add_common_flags(parser)
    parser.add_argument("--without", metavar="METHOD", help="a method that the server's IDL, an older one, does not have")
    flags = parser.parse_args()
    where = place(flags.address)
    if "unix_socket" in where and hasattr(socket, "SO_REUSEPORT"):
        del socket.SO_REUSEPORT  # ThriftPy 0.3.9 sets it on unix sockets too, which newer Linux kernels refuse
    library = Library(flags.library)
    faulty = library.load("faulty.thrift")
    Faulty.refused = faulty.Refused
    if flags.without:
        faulty.Faulty.thrift_services.remove(flags.without)
    server = library.rpc.make_server(
        faulty.Faulty, Faulty(), trans_factory=library.transport_factory(flags.transport), **where)
    print("%s serves %s at %s" % (library.name, flags.transport, flags.address), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
