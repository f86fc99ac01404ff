package interop

import (
	"regexp"
	"slices"
	"strings"
)

// fault is a fault of a peer's own that keeps cases from passing, with the evidence. Each field but the last three may be empty: any.
type fault struct {
	peer, role            string // space-separated
	transports, protocols string
	multiplexed           string // yes or no
	cases                 string
	why                   string // a regular expression for the whole of what the case said
	evidence              string
}

// faults are all that are known. One that a cell should show and does not fails the test: the list stays true.
var faults = []fault{
	{
		peer: "thriftpy2 thriftpy", role: "server", multiplexed: "yes", cases: "unknown_method", why: `error Kinds\.missing: the handler ended .*`,
		evidence: "ThriftPy's TMultiplexedProcessor closes the connection where a service that it has lacks the method: " +
			"`getattr(proc._service, api + \"_args\")` raises AttributeError (thriftpy2/thrift.py line 403, thriftpy/thrift.py line 340).",
	},
	{
		peer: "thriftpy2", role: "client gateway", protocols: "apachejson", cases: "containers", why: `TypeError: Object of type set .*`,
		evidence: "ThriftPy2 cannot write `map<string, list<set<i32>>>` in Apache JSON, nor a map whose key is an enum: a set goes to " +
			"json.dumps as it is, a list in its place raises IndexError, the enum KeyError (thriftpy2/protocol/apache_json.py lines 183 and 192).",
	},
	{
		peer: "thriftpy2", role: "server behind", protocols: "apachejson", cases: "containers", why: `.*\.echoNested: the handler ended without a reply.*`,
		evidence: "ThriftPy2's server closes the connection where it should answer with what it cannot write, as above.",
	},
	{
		peer: "thriftpy", role: "client gateway", protocols: "json", cases: "binary all_bases", why: `TypeError: Object of type bytes .*`,
		evidence: "ThriftPy 0.3.9 cannot write bytes that are no UTF-8 in JSON: its BINARY is its STRING, which goes to json.dumps as it is " +
			"(thriftpy/protocol/json.py).",
	},
	{
		peer: "thriftpy", role: "server", protocols: "json", multiplexed: "no", cases: "unknown_method", why: `error Kinds\.missing: the handler ended .*`,
		evidence: "ThriftPy 0.3.9 closes the connection on an unknown method in JSON: `iprot.skip` (thriftpy/thrift.py line 252), which its " +
			"TJSONProtocol has not.",
	},
	{
		peer: "apache-python", protocols: "apachejson", cases: "utf8",
		why: `TApplicationException: PROTOCOL_ERROR: server: not JSON: a control character in a string; call \w+|nul \x00 within: ` + failure,
		evidence: "Python writes control characters in JSON as they are, here `\"nul <00> within\"`, which JSON forbids: `ESCAPE_CHAR_VALS` has seven " +
			"(thrift/protocol/TJSONProtocol.py line 213).",
	},
	{
		peer: "apache-python", protocols: "apachejson", cases: "bases",
		why: `TApplicationException: PROTOCOL_ERROR: server: not JSON: expected a number; call \w+|\+Inf: ` + failure + `; -Inf: ` + failure + `; NaN: ` + failure,
		evidence: "Python writes infinity and NaN in JSON as `inf` and `nan`, where the protocol has `\"Infinity\"` and `\"NaN\"`: " +
			"`str(formatter.format(number))` (thrift/protocol/TJSONProtocol.py line 220). Its own reader and those of C++ and Go refuse them too.",
	},
	{
		peer: "apache-cpp", protocols: "apachejson", cases: "utf8", why: `"nul \? within" came back as another|string\(.*nul.*within.*`,
		evidence: "C++ loses a zero in a JSON string: it takes `\"nul \\u0000 within\"` for \"nul  within\", from Go and from itself too.",
	},
	{
		peer: "apache-cpp", role: "client gateway", transports: "http", cases: "oneway oneway_that_raises", why: "No more data to read.",
		evidence: "C++'s THttpClient does not read the response to a oneway, and takes its empty body for the next reply; so it does with the " +
			"servers of Python and Go. Its own server sends none, for which all other clients wait.",
	},
	{
		peer: "node", protocols: "binary compact", cases: "bases", why: `Error: got 0, want -0|-0\.0 came back as 0, <nil>`,
		evidence: "Node.js loses the sign of -0.0 in binary and compact: `buff[0] = v < 0 ? 0x80 : 0x00` (lib/thrift/binary.js, writeDouble).",
	},
	{
		peer: "node", protocols: "apachejson", cases: "bases",
		why: `.*PROTOCOL_ERROR: server: not JSON: expected a comma or the end; call \w+|-1: ` + failure + `; -0\.0 came back as 0, <nil>`,
		evidence: "Node.js writes the i64 -1 in JSON as `-000000000001`, which is no number of JSON (lib/thrift/int64_util.js, toDecimalString: " +
			"`!~(b[o + 1] & 0xe0)` is never true), and -0.0 as `0`.",
	},
	{
		peer: "node", protocols: "apachejson", cases: "utf8",
		why:      `.*PROTOCOL_ERROR: server: not JSON: a control character in a string; call \w+|nul \x00 within: ` + failure,
		evidence: "Node.js writes control characters in JSON as they are (lib/thrift/json_protocol.js line 359, writeString: five are escaped).",
	},
	{
		peer: "node", protocols: "apachejson", cases: "containers", why: `Error: got \{.*"undefined":\[\].*|<nil> .*undefined.*`,
		evidence: "Node.js misreads an empty list inside a map in JSON, and all that comes after it: it reads " +
			"`{\"\": [\"set\",0], \"one\": …}` as {\"\": [], undefined: []} (lib/thrift/json_protocol.js line 676, readListEnd), from Python, C++ and Go too.",
	},
	{
		peer: "node", role: "server", cases: "unknown_method", why: `.*Unknown function missing.*\[INTERNAL_ERROR, answered\]`,
		evidence: "Node.js's server answers an unknown method with a TApplicationException that has no type: `if (this.code)`, but the field is " +
			"named `type` (lib/thrift/thrift.js, TApplicationException.write).",
	},
}

// failure is what our client says of one value that did not come back.
const failure = `[^;]*(; call \w+ \[[^]]*\])?`

// of reports whether the fault is one of that cell.
func (f fault) of(c *cell) bool {
	has := func(list, one string) bool { return list == "" || slices.Contains(strings.Fields(list), one) }
	multiplexed := map[bool]string{true: "yes", false: "no"}[c.way.multiplexed]
	return has(f.peer, c.peer) && has(f.role, string(c.role)) && has(f.transports, c.way.transport) && has(f.protocols, c.way.protocol) &&
		has(f.multiplexed, multiplexed)
}

// explains reports whether the fault explains what the case said.
func (f fault) explains(name, why string) bool {
	return slices.Contains(strings.Fields(f.cases), name) && regexp.MustCompile("^(?s:"+f.why+")$").MatchString(why)
}
