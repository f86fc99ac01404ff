"""Calls a server again and again, with a pause before each call, on connections that it keeps.

    gaps.py [--library thriftpy|thriftpy2] --seconds S ADDRESS=GAP…

One connection to each address, each with its gap in seconds between two calls. A call that fails is printed; the last line is "calls N".
"""

import argparse
import threading
import time

from library import Library, place

calls, lock = 0, threading.Lock()


def call(library, kinds, address, gap, end):
    global calls
    client = library.rpc.make_client(kinds.Kinds, timeout=20000, **place(address))
    number = 0
    while True:
        word = "%s after %g s, call %d" % (address, gap, number)
        try:
            got = client.echoString(word)
            if got != word:
                print("FAIL %s: got %r" % (word, got), flush=True)
        except Exception as e:
            print("FAIL %s: %r" % (word, e), flush=True)
            client = library.rpc.make_client(kinds.Kinds, timeout=20000, **place(address))
        number += 1
        with lock:
            calls += 1
        if number > 1 and time.monotonic() + gap > end:
            client.close()
            return
        time.sleep(gap)


def main():
    parser = argparse.ArgumentParser(description="Calls with pauses.")
    parser.add_argument("--library", choices=["thriftpy", "thriftpy2"])
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("callers", nargs="+", metavar="ADDRESS=GAP")
    flags = parser.parse_args()
    library = Library(flags.library)
    kinds = library.load("kinds.thrift")
    end = time.monotonic() + flags.seconds
    threads = []
    for caller in flags.callers:
        address, _, gap = caller.rpartition("=")
        threads.append(threading.Thread(target=call, args=(library, kinds, address, float(gap), end)))
        threads[-1].start()
    for t in threads:
        t.join()
    print("calls %d" % calls)


if __name__ == "__main__":
    main()
