"""Serves kinds.thrift over TLS with ThriftPy's make_server (a thread for each connection).

    tls_server.py [--library thriftpy|thriftpy2] [--transport buffered|framed] [--client-ca FILE] CERT-AND-KEY HOST:PORT

With --client-ca it asks for certificates: make_server cannot, so its socket gets a context of its own.
"""

import argparse
import importlib
import ssl

from library import add_common_flags, place
from server import prepare


def main():
    parser = argparse.ArgumentParser(description="Serves kinds.thrift over TLS with ThriftPy.")
    parser.add_argument("certfile", help="certificate and key in PEM, in one file")
    add_common_flags(parser)
    parser.add_argument("--client-ca", metavar="FILE", help="who may sign callers' certificates; default: nobody is asked")
    flags = parser.parse_args()
    library, kinds, handler = prepare(flags.library, None, None)
    where = place(flags.address)
    server = library.rpc.make_server(
        kinds.Kinds, handler, trans_factory=library.transport_factory(flags.transport), certfile=flags.certfile, **where)
    if flags.client_ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(flags.certfile)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(flags.client_ca)
        module = importlib.import_module(library.name + ".transport.sslsocket")
        server.trans = module.TSSLServerSocket(client_timeout=3000, ssl_context=context, **where)
    print("%s serves %s over TLS at %s" % (library.name, flags.transport, flags.address), flush=True)
    while True:
        try:
            server.serve()
            return
        except (ssl.SSLError, OSError) as error:  # a handshake that failed ends the accept loop of old versions
            print("accept: %r" % error, flush=True)


if __name__ == "__main__":
    main()
