// The dashboard: draws api/v1/snapshot once a second, and nothing else. It changes nothing.
"use strict";

const everyMs = 1000;
const rateOver = 5;    // snapshots over which calls per second are averaged
const sparkPoints = 120;

const history = [];    // the last snapshots: {at, snap}
const spark = [];      // calls/s of the last two minutes
let failure = "";      // why there is no newer snapshot

// --- DOM ---

// h makes an element. Text goes in as text, never as markup.
function h(tag, attrs, ...children) {
  const [name, ...classes] = tag.split(".");
  const el = name === "svg" || name === "path" ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  if (classes.length) el.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attrs ?? {})) if (value !== undefined && value !== null) el.setAttribute(key, value);
  for (const child of children.flat(3)) if (child !== null && child !== undefined) el.append(child);
  return el;
}

// morph makes old look like fresh and keeps what the reader did: open details, scroll, selection where nothing changed.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const from = [...fresh.childNodes], to = [...old.childNodes];
  from.forEach((child, i) => (i < to.length ? morph(to[i], child) : old.append(child)));
  to.slice(from.length).forEach((child) => child.remove());
}

// --- numbers ---

const whole = (n) => Math.round(n ?? 0).toLocaleString("en-US");
const rate = (n) => (n > 0 && n < 9.95 ? n.toFixed(1) : whole(n));
const seconds = (s) => {
  if (!s) return "–";
  if (s < 1e-3) return significant(s * 1e6) + " µs";
  if (s < 1) return significant(s * 1e3) + " ms";
  return s < 120 ? significant(s) + " s" : age(s);
};
const significant = (n) => String(n >= 100 ? Math.round(n) : Number(n.toPrecision(3)));
const age = (s) => {
  if (!(s >= 0)) return "–";
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
};
const list = (a) => a ?? [];
// when reads a time; Go's zero time is none.
const when = (text) => (text && !text.startsWith("0001-") ? new Date(text) : null);
const ago = (text, now) => (when(text) ? age(Math.max(0, (now - when(text)) / 1000)) : "–");

// perSecond returns the growth of what pick finds in a snapshot, a second, over the last few.
function perSecond(pick) {
  const last = history.at(-1), first = history[0];
  const a = pick(first.snap), b = pick(last.snap);
  if (last === first || a === undefined || b === undefined || b < a) return 0;
  return ((b - a) * 1000) / (last.at - first.at);
}

// --- parts of the page ---

function table(columns, rows) {
  const side = (c) => (c.right ? ".right" : "");
  return h("div.scroll", null, h("table", null,
    h("thead", null, h("tr", null, columns.map((c) => h("th" + side(c), { scope: "col" }, c.name)))),
    h("tbody", null, rows.map((r) => h("tr", null, columns.map((c) => h("td" + side(c) + (c.wide ? ".wide" : ""), null, c.cell(r))))))));
}

const tone = (state) => ({
  up: "good", ready: "good", running: "good", down: "bad", failed: "bad", crashed: "bad", exited: "bad", stopped: "soft",
})[state] ?? "warn";
const dot = (state) => h("span.dot." + tone(state), null, state);
const bad = (n) => (n > 0 ? h("span.bad", null, whole(n)) : "0");

function header(s, now) {
  const badges = [];
  if (failure) badges.push(h("span.badge.bad", null, failure));
  if (s.draining) badges.push(h("span.badge.warn", null, "draining"));
  for (const name of list(s.config?.stale)) {
    badges.push(h("span.badge.warn", { title: "The file's section or IDL is broken; the last good version serves." }, name + ": config is stale"));
  }
  for (const service of list(s.services)) {
    for (const open of list(service.breaker?.open)) {
      const who = list(open.names).join(", ") + (open.callers > list(open.names).length ? ", …" : "");
      badges.push(h("span.badge.warn", { title: `Refused for ${ago(open.since, now)}, to ${who}.` },
        `${service.name}/${open.method}: breaker is open for ${whole(open.callers)} callers`));
    }
  }
  if (!badges.length) badges.push(h("span.badge.good", null, "serving"));
  return h("header.row", null, h("h1", null, "Thriftloom"), h("span.soft", null, s.version), badges,
    h("span.soft.push", { title: "hash " + s.config?.hash },
      h("code", null, s.config?.path), ` loaded ${ago(s.config?.loaded_at, now)} ago · up ${age(s.uptime_seconds)}`));
}

function sparkline() {
  if (spark.length < 2) return null;
  const peak = Math.max(...spark, 1);
  const x = (i) => (sparkPoints - spark.length + i) / (sparkPoints - 1) * 100;
  const points = spark.map((v, i) => `${x(i).toFixed(2)} ${(39 - v / peak * 34).toFixed(2)}`).join("L");
  return h("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    h("path.area", { d: `M${x(0).toFixed(2)} 40L${points}L100 40Z` }), h("path", { d: "M" + points }));
}

function tiles(t) {
  const errors = perSecond((s) => s.totals?.errors);
  const tile = (name, value, kind, extra) => h("div.tile", null, extra, h("span.soft", null, name), h("b" + kind, null, value));
  return h("div.tiles", null,
    tile("calls/s", rate(t.calls_per_second), "", sparkline()),
    tile("p50", seconds(t.p50_seconds), ""), tile("p99", seconds(t.p99_seconds), ""),
    tile("errors/s", rate(errors), errors > 0 ? ".bad" : ""),
    tile("in flight", whole(t.in_flight), ""), tile("queue", whole(t.queue), t.queue > 0 ? ".warn" : ""));
}

// hits is the part of a method's calls that needed none at the upstream; what else the cache did stands in the title.
function hits(c) {
  const calls = Object.values(c?.calls ?? {}).reduce((a, b) => a + b, 0);
  if (!calls) return h("span.soft", null, c ? "–" : "");
  const how = Object.entries(c.calls).map(([name, n]) => `${name} ${whole(n)}`).join(", ");
  const onError = c.calls.stale_if_error ?? 0;
  return h("span" + (onError ? ".warn" : ""), { title: `${how}; ${whole(c.entries)} replies in memory, ${seconds(c.mean_age_seconds)} old on average` },
    (100 * c.hit_ratio).toFixed(1) + " %" + (onError ? ` (${whole(onError)} on error)` : ""));
}

function service(s) {
  const calls = (m) => perSecond((snap) => list(list(snap.services).find((x) => x.name === s.name)?.methods).find((x) => x.name === m.name)?.calls);
  const columns = [
    { name: "method", cell: (m) => [h("b", null, m.name), m.idempotent ? h("span.soft", { title: "may be retried" }, " idempotent") : null] },
    { name: "calls/s", right: true, cell: (m) => rate(calls(m)) },
    { name: "calls", right: true, cell: (m) => whole(m.calls) },
    { name: "errors", right: true, cell: (m) => bad(m.errors) },
    { name: "in flight", right: true, cell: (m) => whole(m.in_flight) },
    { name: "p50", right: true, cell: (m) => seconds(m.p50_seconds) },
    { name: "p99", right: true, cell: (m) => seconds(m.p99_seconds) },
    { name: "timeout", right: true, cell: (m) => seconds(m.timeout_seconds) },
    ...(list(s.methods).some((m) => m.cache) ? [{ name: "cache hits", right: true, cell: (m) => hits(m.cache) }] : []),
    { name: "upstream", cell: (m) => h("span" + (m.upstream === s.upstream ? ".soft" : ""), null, m.upstream || "–") },
  ];
  return h("section.card", null,
    h("div.row", null, h("h3", null, s.name), s.idl_service !== s.name ? h("span.soft", null, "service " + s.idl_service) : null,
      h("span.soft", null, "→ " + (s.upstream || "–")), h("span.soft", null, "unknown methods: " + s.unknown_methods),
      h("span.soft.push", { title: "fingerprint of the interface" }, "IDL ", h("code", null, String(s.idl_fingerprint ?? "").slice(0, 12)))),
    h("div.stack.row", null, h("span.soft", null, "stack"), list(s.stack).map((l) => h("span.chip.mono", { title: l.why }, l.name))),
    table(columns, list(s.methods)));
}

// slotCells draws a cell a slot, or a share of them where there are many. Green is a call in flight, amber one that timed out and may still run.
function slotCells(e) {
  const cells = Math.min(e.slots, 16);
  const share = (n) => (e.slots ? Math.ceil((n * cells) / e.slots) : 0);
  const busy = Math.min(cells, share(e.in_flight)), taken = Math.min(cells, share(e.in_flight + e.zombies));
  const kind = (i) => (i < busy ? "i.busy" : i < taken ? "i.zombie" : "i");
  return [
    h("span.slots", null, Array.from({ length: cells }, (_, i) => h(kind(i)))), `${e.in_flight}/${e.slots}`,
    e.zombies ? h("span.warn", { title: "timed out, may still keep the peer busy" }, ` +${e.zombies}`) : null,
    e.others ? h("span.soft", { title: "calls of other gateways" }, ` others ${e.others}`) : null,
  ];
}

function cluster(c) {
  const rateOf = (e) => perSecond((snap) => list(list(snap.clusters).find((x) => x.name === c.name)?.endpoints).find((x) => x.name === e.name)?.calls);
  const columns = [
    { name: "endpoint", cell: (e) => [h("b", null, e.name), e.address && e.address !== e.name ? h("code.soft", null, " " + e.address) : null] },
    { name: "state", cell: (e) => dot(e.state) },
    { name: "slots in flight", cell: slotCells },
    { name: "connections", right: true, cell: (e) => whole(e.connections) },
    { name: "attempts/s", right: true, cell: (e) => rate(rateOf(e)) },
    { name: "attempts", right: true, cell: (e) => whole(e.calls) },
    { name: "failures", right: true, cell: (e) => bad(e.failures) },
    { name: "last error", cell: (e) => h("span.soft", null, e.last_error_code || "–") },
  ];
  return h("section.card", null,
    h("div.row", null, h("h3", null, c.name), c.overloaded ? h("span.warn", { title: "more calls come than are answered" }, " overloaded") : null, h("span.push.soft", null, "queue "),
      h("progress", { value: c.queue_calls, max: Math.max(1, c.queue_max), title: "calls that wait for a slot" }),
      h("span" + (c.queue_calls > 0 ? ".warn" : ".soft"), null, `${whole(c.queue_calls)} of ${whole(c.queue_max)}`)),
    table(columns, list(c.endpoints)));
}

function replicas(rows, now) {
  const columns = [
    { name: "replica", cell: (r) => h("b", null, r.name) },
    { name: "service", cell: (r) => r.service },
    { name: "state", cell: (r) => dot(r.state) },
    { name: "for", right: true, cell: (r) => ago(r.since, now) },
    { name: "pid", right: true, cell: (r) => r.pid || "–" },
    { name: "restarts", right: true, cell: (r) => (r.restarts ? h("span.warn", null, whole(r.restarts)) : "0") },
    { name: "last exit", wide: true, cell: (r) => r.last_exit || "–" },
    { name: "output", wide: true, cell: (r) => {
      const lines = list(r.last_output);
      return lines.length ? h("details", null, h("summary", null, lines.length === 1 ? "last line" : `last ${lines.length} lines`), h("pre.mono", null, lines.join("\n"))) : "–";
    } },
  ];
  return h("section.card", null, table(columns, rows));
}

function listeners(rows) {
  const columns = [
    { name: "address", cell: (l) => h("code", null, l.address) },
    { name: "services", wide: true, cell: (l) => list(l.services).join(", ") },
    { name: "connections", right: true, cell: (l) => whole(l.connections) },
  ];
  return h("section.card", null, table(columns, rows));
}

const bytes = (n) => {
  const unit = n < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(n) / 10));
  return Number((n / 1024 ** unit).toFixed(1)) + [" B", " KiB", " MiB", " GiB", " TiB"][unit];
};

function cache(c) {
  return h("section.card", null,
    h("div.row", null, h("span.soft", null, "memory"), h("progress", { value: c.bytes, max: Math.max(1, c.max_bytes), title: "of the replies that are kept in this process" }),
      h("span", null, `${bytes(c.bytes)} of ${bytes(c.max_bytes)}`), h("span.soft", null, `${whole(c.entries)} replies, ${whole(c.evictions)} evictions`),
      list(c.stores).map((x) => [
        h("span.soft.push", null, x.name), dot(x.up ? "up" : "down"),
        x.owed ? h("span.warn", { title: "invalidations that it has still to be told" }, `${whole(x.owed)} owed`) : null,
      ])));
}

function page(s, now) {
  const part = (title, rows, draw) => (list(rows).length ? [h("h2", null, title), draw(rows)] : []);
  return h("div", { id: "page" },
    header(s, now), tiles(s.totals ?? {}),
    part("Services", s.services, (rows) => rows.map(service)),
    s.cache ? [h("h2", null, "Cache"), cache(s.cache)] : [],
    part("Clusters", s.clusters, (rows) => rows.map(cluster)),
    part("Replicas", s.replicas, (rows) => replicas(rows, now)),
    part("Listeners", s.listeners, listeners));
}

// --- the loop ---

function take(snap) {
  const last = history.at(-1)?.snap;
  if (last && snap.uptime_seconds < last.uptime_seconds) { // another process: its counts begin anew
    history.length = 0;
    spark.length = 0;
  }
  history.push({ at: performance.now(), snap });
  if (history.length > rateOver + 1) history.shift();
  spark.push(snap.totals?.calls_per_second ?? 0);
  if (spark.length > sparkPoints) spark.shift();
}

async function refresh() {
  try {
    const response = await fetch("api/v1/snapshot", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error("HTTP " + response.status);
    take(await response.json());
    failure = "";
  } catch (e) {
    failure = "no answer from the gateway: " + e.message;
  }
  const root = document.getElementById("page");
  if (history.length) morph(root, page(history.at(-1).snap, Date.now()));
  else root.firstElementChild.textContent = failure;
}

async function run() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((wake) => setTimeout(wake, everyMs));
  }
}

run();
