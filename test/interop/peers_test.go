package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// way is how a peer and Thriftloom speak: TRANSPORT-PROTOCOL[-multiplexed], as the programs of test/peers name it.
type way struct {
	transport   string // as in config, or headerzlib: THeader with zlib
	protocol    string
	multiplexed bool
}

func (w way) String() string {
	if w.multiplexed {
		return w.transport + "-" + w.protocol + "-multiplexed"
	}
	return w.transport + "-" + w.protocol
}

func (w way) wire() transport.Wire {
	return transport.Wire{Kind: kindOf[w.transport], Protocol: protocols[w.protocol]}
}

var (
	transportNames = []string{"buffered", "framed", "header", "headerzlib", "http"}

	kindOf = map[string]transport.Kind{
		"buffered": transport.Buffered, "framed": transport.Framed, "header": transport.Header, "headerzlib": transport.Header, "http": transport.HTTP,
	}
	protocols = map[string]wire.Protocol{"binary": wire.Binary, "compact": wire.Compact, "json": wire.JSON, "apachejson": wire.ApacheJSON}
)

// peer is an implementation that is not ours.
type peer struct {
	name, title string
	protocols   map[string]string // that it speaks, by transport
	lacks       []string          // what it has not, and why, a line each
	cases       int               // that its client has
	zeroes      bool              // its code has no unset fields, but for optional ones
	noServer    []string          // TRANSPORT-PROTOCOL of which it has only a client
	without     map[string]string // by protocol, the cases that cannot be tried with it
}

const (
	apache = "binary compact apachejson"
	zeroes = "unset fields, but for optional ones: its generated code writes zero for them"
)

// peers are all of them, in the order of the document.
var peers = []peer{
	{"thriftpy2", "ThriftPy2 0.7.1", map[string]string{
		"buffered": "binary compact json apachejson", "framed": "binary compact json apachejson", "http": "binary compact json apachejson",
	}, []string{
		"THeader: no release has it yet",
		"an Apache JSON server on connections that last: TApacheJSONProtocol keeps the first message in `_req`, which nothing resets " +
			"(thriftpy2/protocol/apache_json.py line 133), so the first call is answered again and again, without end; for the same reason " +
			"its client is one for each call here",
		"500 KB in Apache JSON: it reads a string byte by byte through ijson (`_load_data`, line 121), in a time that grows with the " +
			"square of the length, 37 s for 500 KB",
	}, 18, false, []string{"buffered-apachejson", "framed-apachejson"}, map[string]string{"apachejson": "big oneway_as_call"}},
	{"thriftpy", "ThriftPy 0.3.9", map[string]string{
		"buffered": "binary json", "framed": "binary json",
	}, []string{
		"compact: every call ends in AttributeError (thriftpy/protocol/compact.py line 61: `array.array('B', out).tostring()`, which Python 3.9 removed)",
		"Apache JSON, HTTP and THeader: it has none of them",
	}, 18, false, nil, nil},
	{"apache-python", "Apache Thrift 0.17.0, Python", map[string]string{
		"buffered": apache, "framed": apache, "header": "binary compact", "headerzlib": "binary compact", "http": apache,
	}, []string{"ThriftPy's JSON: ThriftPy alone has it", "JSON in THeader: it carries binary and compact only"}, 17, false, nil, nil},
	{"apache-cpp", "Apache Thrift 0.17.0, C++", map[string]string{
		"buffered": apache, "framed": apache, "header": "binary compact", "http": apache,
	}, []string{
		"ThriftPy's JSON: ThriftPy alone has it", "JSON in THeader: it carries binary and compact only",
		"THeader with zlib: THeaderTransport::transform overwrites its own output past 512 bytes (\"Error while zlib deflate\"), and its server ends with a segmentation fault",
		zeroes,
	}, 17, true, nil, nil},
	{"apache-go", "Apache Thrift 0.25.0, Go", map[string]string{
		"buffered": apache, "framed": apache, "header": "binary compact", "headerzlib": "binary compact", "http": apache,
	}, []string{"ThriftPy's JSON: ThriftPy alone has it", "JSON in THeader: it carries binary and compact only", zeroes}, 17, true, nil, nil},
	{"node", "npm thrift 0.24.0, Node.js", map[string]string{
		"buffered": apache, "framed": apache, "header": "binary compact", "http": apache,
	}, []string{
		"ThriftPy's JSON: ThriftPy alone has it", "JSON in THeader: it carries binary and compact only",
		"THeader with zlib: header_transport.js refuses transforms (\"Transforms are not yet supported\")",
		"a THeader server: it answers a THeader request without THeader, as `80 01 00 02 …` or `82 41 …` alone, where its handler is " +
			"asynchronous: `shouldWriteHeaders` is false by then (lib/thrift/header_transport.js, writeHeaders)",
	}, 17, false, []string{"header-binary", "header-compact"}, nil},
}

// ways are all in which the peer can speak.
func (p peer) ways() (all []way) {
	for _, t := range transportNames {
		for _, protocol := range strings.Fields(p.protocols[t]) {
			all = append(all, way{t, protocol, false}, way{t, protocol, true})
		}
	}
	return all
}

// role is what the peer is in a cell.
type role string

const (
	asClient role = "client"  // of our server
	asCaller role = "gateway" // client of our gateway, before ThriftPy servers that speak only buffered binary
	asServer role = "server"  // of our client
	asBehind role = "behind"  // server behind our gateway
)

var roles = []role{asClient, asCaller, asServer, asBehind}

// calls reports whether the peer calls.
func (r role) calls() bool { return r == asClient || r == asCaller }

// has reports whether the peer can be that.
func (p peer) has(r role, w way) bool {
	return r.calls() || !slices.Contains(p.noServer, w.transport+"-"+w.protocol)
}

// upstream is what the gateway's config says of servers that speak so.
func (w way) upstream() string {
	kind := w.wire().Kind.String()
	return fmt.Sprintf("server: threaded, slots: 16, transport: %s, protocol: %s, multiplexed: %v", kind, w.protocol, w.multiplexed)
}

// unbuilt says why Thriftloom cannot take its part yet; nil where it can.
func unbuilt(t testing.TB, p peer, r role, w way) error {
	t.Helper()
	if _, err := transport.NewSplitter(w.wire(), wire.Limits{}); err != nil {
		return err
	}
	switch r {
	case asCaller:
		_, err := codec.Translate(nil, protocols[w.protocol], wire.Binary, document(t).Service("Kinds").Method("ping").Args,
			message.Empty(protocols[w.protocol]), wire.Limits{})
		return err
	case asBehind:
		path := filepath.Join(t.TempDir(), "thriftloom.yaml")
		text := fmt.Sprintf("services: {Kinds: {idl: %s, listen: 127.0.0.1:1, upstream: {endpoints: [127.0.0.1:2], %s}}}", peertest.File("kinds.thrift"), w.upstream())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, m := range gateway.Load(path, nil).Mistakes {
			return errors.New(m.String())
		}
	}
	return nil
}
