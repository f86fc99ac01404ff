// How Apache's C++ library makes clients and servers of a wire, which is TRANSPORT-PROTOCOL[-multiplexed].
#pragma once

#include <memory>
#include <string>

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/protocol/THeaderProtocol.h>
#include <thrift/protocol/TJSONProtocol.h>
#include <thrift/protocol/TMultiplexedProtocol.h>
#include <thrift/processor/TMultiplexedProcessor.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/THeaderTransport.h>
#include <thrift/transport/THttpClient.h>
#include <thrift/transport/THttpServer.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>

#include "gen-cpp/KindsExtra.h"

using namespace apache::thrift;
using namespace apache::thrift::protocol;
using namespace apache::thrift::transport;
using std::make_shared;
using std::shared_ptr;
using std::string;

constexpr int timeoutMillis = 20000;

struct Wire {
  string name, transport, protocol;
  bool multiplexed = false;

  explicit Wire(const string& of) : name(of) {
    const auto first = of.find('-'), second = of.find('-', first + 1);
    transport = of.substr(0, first);
    protocol = of.substr(first + 1, second - first - 1);
    multiplexed = second != string::npos;
  }

  bool header() const { return transport == "header"; }
  bool http() const { return transport == "http"; }

  uint16_t headerProtocol() const { return protocol == "compact" ? T_COMPACT_PROTOCOL : T_BINARY_PROTOCOL; }
};

struct Place : Wire {
  string host = "127.0.0.1";
  int port;

  // From WIRE=PORT or WIRE=HOST:PORT.
  explicit Place(const string& of) : Wire(of.substr(0, of.find('='))) {
    const auto at = of.substr(of.find('=') + 1);
    const auto colon = at.find(':');
    if (colon != string::npos) host = at.substr(0, colon);
    port = std::stoi(colon == string::npos ? at : at.substr(colon + 1));
  }
};

inline shared_ptr<TProtocolFactory> protocolFactory(const Wire& w) {
  if (w.header()) return make_shared<THeaderProtocolFactory>();
  if (w.protocol == "compact") return make_shared<TCompactProtocolFactory>();
  if (w.protocol == "apachejson") return make_shared<TJSONProtocolFactory>();
  return make_shared<TBinaryProtocolFactory>();
}

inline shared_ptr<TTransportFactory> transportFactory(const Wire& w) {
  if (w.http()) return make_shared<THttpServerTransportFactory>();
  if (w.header()) return make_shared<TTransportFactory>();  // the protocol brings its transport itself
  if (w.transport == "framed") return make_shared<TFramedTransportFactory>();
  return make_shared<TBufferedTransportFactory>();
}

// A client, which closes its connection at its end.
struct Connection {
  shared_ptr<TTransport> transport;
  std::unique_ptr<KindsExtraClient> client;

  explicit Connection(const Place& p) {
    auto socket = make_shared<TSocket>(p.host, p.port);
    socket->setConnTimeout(timeoutMillis);
    socket->setRecvTimeout(timeoutMillis);
    shared_ptr<TProtocol> protocol;
    if (p.header()) {
      protocol = make_shared<THeaderProtocol>(socket, p.headerProtocol());
      transport = socket;
    } else {
      if (p.http()) transport = make_shared<THttpClient>(socket, p.host, "/");
      else if (p.transport == "framed") transport = make_shared<TFramedTransport>(socket);
      else transport = make_shared<TBufferedTransport>(socket);
      protocol = protocolFactory(p)->getProtocol(transport);
    }
    if (p.multiplexed) protocol = make_shared<TMultiplexedProtocol>(protocol, "Kinds");
    client.reset(new KindsExtraClient(protocol));
    transport->open();
  }
  ~Connection() { transport->close(); }
  KindsExtraClient* operator->() { return client.get(); }
};
