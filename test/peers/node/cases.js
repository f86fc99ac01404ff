"use strict";

const assert = require("assert");
const crypto = require("crypto");
const thrift = require("thrift");

const Int64 = thrift.Int64;
const INTERNAL_ERROR = 6, UNKNOWN_METHOD = 1;
const AT_ONCE = 12; // wires that the client tries at the same time

let types, Client; // the generated code

const wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const newWord = () => "word-" + crypto.randomUUID();
const i64 = (text) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(text));
  return new Int64(bytes);
};

// plain turns what the library makes of a value into what can be compared.
function plain(value) {
  if (value instanceof Int64) return value.toOctetString();
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null && v !== undefined).map(([k, v]) => [k, plain(v)]));
  return value;
}

function same(got, want) {
  try {
    assert.deepStrictEqual(plain(got), plain(want));
  } catch {
    const text = (value) => (Object.is(value, -0) ? "-0" : String(JSON.stringify(plain(value)) ?? value).slice(0, 150));
    throw new Error(`got ${text(got)}, want ${text(want)}`);
  }
}

// comes checks that values come back as they went.
async function comes(call, ...values) {
  for (const value of values) same(await call(value), value);
}

// fails returns what the call fails with.
async function fails(promise) {
  let got;
  try {
    got = await promise;
  } catch (error) {
    return error;
  }
  throw new Error("no exception; got " + got);
}

// on runs f with a client of its own. A call that never ends fails when the connection does.
async function on(place, f) {
  const { client, broken, close } = place.wire.connect(Client, place.host, place.port);
  const methods = new Proxy({}, { get: (_, name) => (...args) => Promise.race([client[name](...args), broken]) });
  try {
    return await Promise.race([f(methods, place), broken]);
  } finally {
    close();
  }
}

const point = (x, y) => new types.Point({ x, y });

function shape(name, corners) {
  return new types.Shape({
    name, origin: point(1, -2), corners: Array.from({ length: corners }, (_, n) => point(n, n * n)), color: types.Color.GREEN,
    marks: { top: point(0, 9), "é": point(-1, 0) }, closed: false,
  });
}

async function recorded(place, word) {
  for (let turn = 0; turn < 500; turn++) {
    const words = await on(place, (c) => c.remembered(word));
    if (words.length > 0) return same(words.length, 1);
    await wait(20);
  }
  throw new Error("not recorded");
}

const cases = {
  void: async (c) => same(await c.ping(), undefined),
  ascii: (c) => comes(c.echoString, "", "a", "plain text", "x".repeat(4095), "x".repeat(4096), "x".repeat(4097)),
  utf8: (c) => comes(c.echoString, "é", "naïve façade", "日本語", "👩‍🚀 𝒳", "nul \0 within", "line\nends\r\n"),
  big: async (c) => {
    same(await c.big(500000), "x".repeat(500000));
    await comes(c.echoString, "0123456789".repeat(50000));
    await c.ping();
  },
  binary: (c) =>
    comes(c.echoBinary, Buffer.alloc(0), Buffer.from([0]), Buffer.from("plain"), Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
      Buffer.from([0x80, 1, 0, 1]), Buffer.alloc(70000, 0xff)),
  bases: async (c) => {
    await comes(c.echoBool, true, false);
    await comes(c.echoByte, -(2 ** 7), -1, 0, 1, 2 ** 7 - 1);
    await comes(c.echoI16, -(2 ** 15), -1, 0, 1, 2 ** 15 - 1);
    await comes(c.echoI32, -(2 ** 31), -1, 0, 1, 2 ** 31 - 1);
    await comes(c.echoI64, i64("-9223372036854775808"), i64("-1"), i64("0"), i64("1"), i64("9223372036854775807"));
    await comes(c.echoColor, types.Color.RED, types.Color.BLUE, 77); // a number that the enum does not have
    await comes(c.echoDouble, 0, 1.5, -1e-300, Number.MAX_VALUE, 2.2250738585072014e-308, 5e-324, Infinity, -Infinity, NaN, -0);
  },
  all_bases: async (c) => {
    const bases = (flag, tiny, small, medium, large, real, text, raw) =>
      new types.Bases({ flag, tiny, small, medium, large: i64(large), real, text, raw: Buffer.from(raw) });
    await comes(c.echoBases,
      bases(false, -(2 ** 7), -(2 ** 15), -(2 ** 31), "-9223372036854775808", -0.5, "", [0xfe, 0xff]),
      bases(true, 2 ** 7 - 1, 2 ** 15 - 1, 2 ** 31 - 1, "9223372036854775807", 1e300, "é", [0, 0xff]), new types.Bases({ medium: 1 }));
  },
  nested_struct: async (c) => {
    const labelled = shape("n", 1);
    labelled.label = "here";
    await comes(c.echoShape, shape("n", 0), shape("n", 3), shape("n", 5000), labelled, new types.Shape({ name: "bare" }));
  },
  containers: async (c) => {
    const inOrder = (value) => Object.fromEntries(Object.entries(value).map(([k, sets]) => [k, sets.map((set) => [...set].sort((a, b) => a - b))]));
    const nested = { "": [], one: [[1]], more: [[], [-1, 2, 2 ** 31 - 1], [5]] };
    same(inOrder(await c.echoNested(nested)), nested);
    await comes(c.echoNested, {});
    await comes(c.echoShapes, { "-7": { 1: shape("a", 2), 5: shape("b", 0) }, 0: {} });
  },
  union: (c) => {
    const value = (fields) => new types.Value(fields);
    return comes(c.echoValue, value({ number: i64("1099511627776") }), value({ text: "é" }), value({ point: point(3, 4) }));
  },
  declared_exception: async (c) => {
    const error = await fails(c.refuse("not today — é", -3));
    assert(error instanceof types.Refused, String(error));
    same([error.reason, error.code], ["not today — é", -3]);
    await c.ping();
  },
  undeclared_exception: async (c, place) => {
    await c.ping();
    same((await fails(c.crash("on purpose"))).type, INTERNAL_ERROR);
    await comes(c.echoString, "still here");
    await on(place, (c) => c.ping());
  },
  unknown_method: async (c) => {
    same((await fails(c.missing("word"))).type, UNKNOWN_METHOD);
    await comes(c.echoString, "still here");
  },
  oneway: async (c, place) => {
    for (let turn = 0; turn < 3; turn++) { // a machine may stand still for as long as the handler takes; not three times
      const word = newWord(), start = Date.now();
      await c.remember(word, 1000);
      const waited = Date.now() - start;
      await comes(c.echoString, word);
      await comes(c.echoI32, 4711);
      await recorded(place, word);
      if (waited < 900) return;
    }
    assert.fail("the oneway waited for its handler");
  },
  oneway_that_raises: async (c, place) => {
    const word = newWord();
    await c.stumble(word);
    await comes(c.echoString, "still here");
    await recorded(place, word);
  },
  slow: (c) => comes(c.sleep, 200),
  concurrent_clients: async (_, place) => {
    await Promise.all(Array.from({ length: 100 }, (_, n) => on(place, async (c) => {
      for (let turn = 0; turn < 2; turn++) {
        await comes(c.echoString, `client ${n}, call ${turn}`);
        await comes(c.echoI32, n * 1000 + turn);
      }
    })));
  },
};

// Runs every case over every wire.
module.exports = async (load, places) => {
  types = load("kinds_types");
  ({ Client } = load("KindsExtra"));
  const waiting = [...places];
  const one = async () => {
    for (let place; (place = waiting.shift()); )
      for (const [name, run] of Object.entries(cases))
        try {
          await on(place, run);
          console.log(`ok ${place.wire.name} ${name}`);
        } catch (error) {
          console.log(`FAIL ${place.wire.name} ${name}: ${error}`.replaceAll("\n", " "));
        }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  process.exit(0);
};
