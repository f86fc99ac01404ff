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
		peer: "node", protocols: "binary compact", cases: "bases", why: `Error: got 0, want -0|-0\.0 came back as 0, <nil>`,
		evidence: "Node.js loses the sign of -0.0 in binary and compact: `buff[0] = v < 0 ? 0x80 : 0x00` (lib/thrift/binary.js, writeDouble).",
	},
	{
		peer: "node", role: "server", cases: "unknown_method", why: `.*Unknown function missing \[INTERNAL_ERROR, answered\]`,
		evidence: "Node.js's server answers an unknown method with a TApplicationException that has no type: `if (this.code)`, but the field is " +
			"named `type` (lib/thrift/thrift.js, TApplicationException.write).",
	},
}

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
