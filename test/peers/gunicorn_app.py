"""What gunicorn serves: kinds.thrift. gunicorn_thrift wants `processor`, the workers for stock gunicorn take `make`, which returns one."""

import os

from server import prepare

_, kinds, handler = prepare("thriftpy2", os.environ.get("PEER_RECORD"), os.environ.get("PEER_JOURNAL"))


def make_processor():
    from thriftpy2.thrift import TProcessor

    return TProcessor(kinds.Kinds, handler)


def make_async_processor():
    from thriftpy2.contrib.aio.processor import TAsyncProcessor

    from server import Coroutines

    return TAsyncProcessor(kinds.Kinds, Coroutines(handler))


processor = make_processor()
