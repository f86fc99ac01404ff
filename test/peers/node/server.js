"use strict";

// Serves Kinds at every place until it is killed.
module.exports = (load, places) => {
  const { Refused } = load("kinds_types");
  const words = [];
  const wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
  const echo = async (value) => value;
  const handler = {
    ping: async () => undefined,
    big: async (bytes) => "x".repeat(bytes),
    sleep: async (millis) => (await wait(millis), millis),
    pid: async () => process.pid,
    refuse: async (reason, code) => {
      throw new Refused({ reason, code });
    },
    crash: async (reason) => {
      throw new Error(reason);
    },
    remember: async (word, millis) => {
      await wait(millis);
      words.push(word);
    },
    stumble: async (word) => {
      words.push(word);
      throw new Error(word);
    },
    remembered: async (prefix) => words.filter((word) => word.startsWith(prefix)),
  };
  for (const kind of ["Bool", "Byte", "I16", "I32", "I64", "Double", "String", "Binary", "Color", "Bases", "Shape", "Value", "Nested", "Shapes"])
    handler["echo" + kind] = echo;

  let left = places.length;
  for (const { wire, port } of places) {
    const server = wire.server(load("Kinds"), handler);
    server.on("error", () => {}); // of one connection
    server.listen(port, "127.0.0.1", () => --left === 0 && console.log("ready"));
  }
};
