// A server and a client of kinds.thrift made with npm's thrift, the code out of Debian's thrift-compiler.
//
//   node main.js GENERATED serve WIRE=PORT…
//   node main.js GENERATED call WIRE=HOST:PORT…
//
// A wire is TRANSPORT-PROTOCOL[-multiplexed]. The server prints "ready" once it listens everywhere. The client prints a line for each wire
// and case: "ok WIRE CASE" or "FAIL WIRE CASE: why". GENERATED is the folder of the generated code; NODE_PATH leads to thrift.
"use strict";

const path = require("path");

const [generated, job, ...args] = process.argv.slice(2);
const { Wire } = require("./wires");

const load = (name) => require(path.resolve(generated, name));
const places = args.map((arg) => {
  const [name, address] = arg.split("=");
  const [host, port] = address.includes(":") ? address.split(":") : ["127.0.0.1", address];
  return { wire: new Wire(name), host, port: Number(port) };
});

process.on("unhandledRejection", (error) => console.error("unhandled:", error));
process.on("uncaughtException", (error) => console.error("uncaught:", error));

if (job === "serve") require("./server")(load, places);
else if (job === "call") require("./cases")(load, places);
else process.exit(2);
