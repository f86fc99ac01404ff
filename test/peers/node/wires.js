"use strict";

const thrift = require("thrift");

const PROTOCOLS = { binary: thrift.TBinaryProtocol, compact: thrift.TCompactProtocol, apachejson: thrift.TJSONProtocol };
const TRANSPORTS = { buffered: thrift.TBufferedTransport, framed: thrift.TFramedTransport, http: thrift.TBufferedTransport };
const TIMEOUT_MS = 20000; // of a call; only a case that fails waits so long

// Wire is how two sides speak.
class Wire {
  constructor(name) {
    this.name = name;
    [this.transport, this.protocol] = name.split("-");
    this.multiplexed = name.endsWith("-multiplexed");
  }

  options() {
    if (this.transport !== "header") return { transport: TRANSPORTS[this.transport], protocol: PROTOCOLS[this.protocol] };
    return { transport: headers(this.protocol), protocol: thrift.THeaderProtocol };
  }

  // server returns a server that is not listening yet.
  server(Kinds, handler) {
    let processor = new Kinds.Processor(handler);
    if (this.multiplexed) {
      const several = new thrift.MultiplexedProcessor();
      several.registerProcessor("Kinds", processor);
      processor = several;
    }
    if (this.transport === "http") return thrift.createWebServer({ services: { "/": { processor, ...this.options() } } });
    return thrift.createMultiplexServer(processor, this.options());
  }

  // connect returns { client, close, broken }: broken rejects when the connection fails, as its client's calls never do.
  connect(Client, host, port) {
    const options = { ...this.options(), connect_timeout: TIMEOUT_MS, path: "/" };
    const connection = this.transport === "http" ? thrift.createHttpConnection(host, port, options) : thrift.createConnection(host, port, options);
    const broken = new Promise((_, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer in time")), TIMEOUT_MS);
      timer.unref();
      connection.on("error", reject);
      connection.on("close", () => reject(new Error("the connection was closed")));
    });
    broken.catch(() => {});
    const client = this.multiplexed
      ? new thrift.Multiplexer().createClient("Kinds", Client, connection)
      : this.transport === "http"
        ? thrift.createHttpClient(Client, connection)
        : thrift.createClient(Client, connection);
    return { client, broken, close: () => connection.end && connection.end() };
  }
}

// headers is a transport whose THeader says that protocol: the library leaves it to its user to set it. THeaderProtocol needs the buffered
// one: it reads and writes the frame's length itself.
function headers(protocol) {
  const id = protocol === "compact" ? 2 : 0;
  class Headers extends thrift.TBufferedTransport {
    constructor(...args) {
      super(...args);
      this.setProtocolId(id);
    }
  }
  Headers.receiver = thrift.TBufferedTransport.receiver;
  return Headers;
}

module.exports = { Wire };
