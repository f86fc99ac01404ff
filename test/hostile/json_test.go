package hostile

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// jsonCase is one call in both JSON protocols, of a caller whose servers speak binary.
type jsonCase struct {
	name    string
	method  string
	own     string // arguments in ThriftPy's JSON; "": the case is Apache's alone
	apache  string // the same in Apache's; "": ThriftPy's alone
	code    string // what the caller is told; "": a reply
	reaches bool   // the server
}

var jsonCases = []jsonCase{
	{"numbers out of range", "put", `{"n": 4294967296}`, `{"1":{"i32":4294967296}}`, "PROTOCOL_ERROR", false},
	{"integer with a fraction", "put", `{"n": 1.5}`, `{"1":{"i32":1.5}}`, "PROTOCOL_ERROR", false},
	{"integer with an exponent", "put", `{"n": 1e3}`, `{"1":{"i32":1e3}}`, "PROTOCOL_ERROR", false},
	{"number with a leading zero", "put", `{"n": 07}`, `{"1":{"i32":07}}`, "PROTOCOL_ERROR", false},
	{"double beyond its range", "put", `{"ratio": 1e999}`, `{"3":{"dbl":1e999}}`, "PROTOCOL_ERROR", false},
	{"NaN", "put", `{"n": 1, "ratio": NaN}`, `{"1":{"i32":1},"3":{"dbl":"NaN"}}`, "", true},
	{"infinity", "put", `{"n": 1, "ratio": -Infinity}`, `{"1":{"i32":1},"3":{"dbl":"-Infinity"}}`, "", true},
	{"a word that is no double", "put", `{"ratio": "pigeon"}`, `{"3":{"dbl":"pigeon"}}`, "PROTOCOL_ERROR", false},
	{"text for a number", "put", `{"n": "x"}`, `{"1":{"i32":"x"}}`, "PROTOCOL_ERROR", false},
	{"type mismatch to IDL", "put", `{"n": {"a": 1}}`, "", "PROTOCOL_ERROR", false},
	{"another type than the IDL's", "put", "", `{"1":{"str":"x"}}`, "", true}, // Apache's says its type: the server skips it
	{"unknown field", "put", `{"n": 1, "more": [1, {"a": null}]}`, `{"1":{"i32":1},"99":{"lst":["i32",1,1]}}`, "", true},
	{"duplicate fields", "put", `{"n": 1, "n": 2}`, `{"1":{"i32":1},"1":{"i32":2}}`, "", true},
	{"null", "put", `{"n": null}`, "", "", true},
	{"missing required", "put", `{}`, `{}`, "", true},
	{"bad escape", "get", `{"key": "\x"}`, `{"1":{"str":"\x"}}`, "PROTOCOL_ERROR", false},
	{"half a surrogate", "get", `{"key": "\ud800"}`, `{"1":{"str":"\ud800"}}`, "", true},
	{"control character", "get", "{\"key\": \"a\nb\"}", "{\"1\":{\"str\":\"a\nb\"}}", "PROTOCOL_ERROR", false},
	{"depth 10^4", "put", `{"deep": ` + strings.Repeat(`{"deeper": `, 10_000), `{"5":{"rec":` + strings.Repeat(`{"1":{"rec":`, 10_000), "PROTOCOL_ERROR", false},
	{"depth 10^4 of a field that nobody knows", "put", `{"more": ` + strings.Repeat("[", 10_000), `{"99":{"lst":` + strings.Repeat("[", 10_000), "PROTOCOL_ERROR", false},
	{"depth beyond the limit, whole", "put", `{"deep": ` + strings.Repeat(`{"deeper": `, 65) + "{}" + strings.Repeat("}", 66), `{"5":{"rec":` + strings.Repeat(`{"1":{"rec":`, 65) + "{}" + strings.Repeat("}}", 66), "PROTOCOL_ERROR", false},
	{"unknown type of a field", "put", "", `{"1":{"pigeon":1}}`, "PROTOCOL_ERROR", false},
	{"field id of 17 bits", "put", "", `{"70000":{"i32":1}}`, "PROTOCOL_ERROR", false},
	{"list of 2^31-1", "put", "", `{"6":{"lst":["str",2147483647,"a"]}}`, "PROTOCOL_ERROR", false},
	{"list of a negative count", "put", "", `{"6":{"lst":["str",-1]}}`, "PROTOCOL_ERROR", false},
	{"list with more than its count", "put", "", `{"6":{"lst":["str",1,"a","b"]}}`, "PROTOCOL_ERROR", false},
	{"map with fewer than its count", "put", "", `{"4":{"map":["str","i32",2,{"a":1}]}}`, "PROTOCOL_ERROR", false},
	{"map entry without a value", "put", `{"counts": [{"key": "a"}]}`, "", "PROTOCOL_ERROR", false},
	{"a struct as a map's key", "put", "", `{"9":{"map":["rec","i32",1,{{}:1}]}}`, "PROTOCOL_ERROR", false},
	{"bad base64", "blob", `{"raw": "!!!"}`, `{"1":{"str":"!!!"}}`, "PROTOCOL_ERROR", false},
	{"base64 with bits behind its end", "blob", `{"raw": "/wB="}`, `{"1":{"str":"/wB="}}`, "PROTOCOL_ERROR", false},
	{"base64 without padding", "blob", `{"raw": "/wA"}`, `{"1":{"str":"/wA"}}`, "", true},
}

// What a caller in JSON may send that is bad is refused before it reaches a server, and the connection goes on behind it where its end is
// known; what is odd and legal reaches the server.
func TestJSON(t *testing.T) {
	d := openDoor(t, "", "")
	for _, w := range []transport.Wire{{Kind: transport.Buffered, Protocol: wire.JSON}, {Kind: transport.Framed, Protocol: wire.JSON}, {Kind: transport.Buffered, Protocol: wire.ApacheJSON}, {Kind: transport.Framed, Protocol: wire.ApacheJSON}} {
		for _, c := range jsonCases {
			body := c.own
			if w.Protocol == wire.ApacheJSON {
				body = c.apache
			}
			if body == "" {
				continue
			}
			t.Run(w.Protocol.String()+"/"+w.Kind.String()+"/"+c.name, func(t *testing.T) {
				d.got()
				sent := transport.Append(nil, transport.Message{Wire: w, Head: wire.Head{Name: c.method, Seq: 77, Type: wire.Call}, Body: []byte(body)})
				typ, text := d.ask(t, w, sent)
				if code, _, _ := strings.Cut(text, ": "); c.code != code || (typ == wire.Exception) != (c.code != "") {
					t.Errorf("answered %s %q", typ, text)
				}
				if n := len(d.got()); (n == 1) != c.reaches || n > 1 {
					t.Errorf("%d calls reached the server", n)
				}
				d.caller(t, forms[0]).good(t)
			})
		}
	}
}

// ask sends bytes on a connection of their own, and returns what is answered: of an exception the text. The caller's half is closed.
func (d *door) ask(t *testing.T, w transport.Wire, sent []byte) (wire.MessageType, string) {
	t.Helper()
	conn, err := net.Dial("tcp", d.at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(conn)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	s, err := transport.NewSplitter(w, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m, used, _, err := s.Split(all)
	if err != nil || used != len(all) || used > 0 && m.Head.Seq != 77 {
		t.Fatalf("answered %q: %+v, %v", all, m.Head, err)
	}
	if m.Head.Type != wire.Exception {
		return m.Head.Type, ""
	}
	_, text, err := message.ParseApplication(w.Protocol, m.Body, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Head.Type, text
}

// Documents that are no message: refused, and counted as what they are.
func TestJSONDocuments(t *testing.T) {
	d := openDoor(t, "", "")
	own := func(document string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(document)))) + document
	}
	for _, c := range []struct {
		name, bytes string
		want        wire.Reason
	}{
		{"length of 2^31-1", "\x00\xff\xff\xff{\"metadata\"", wire.SizeLimit},
		{"version 2", own(`{"metadata": {"version": 2, "name": "get", "ttype": 1, "seqid": 0}, "payload": {}}`), wire.BadVersion},
		{"no payload", own(`{"metadata": {"version": 1, "name": "get", "ttype": 1, "seqid": 0}}`), wire.BadValue},
		{"payload twice", own(`{"metadata": {"version": 1, "name": "get", "ttype": 1, "seqid": 0}, "payload": {}, "payload": {"key": "x"}}`), wire.BadValue},
		{"name of 1 MiB", own(`{"metadata": {"version": 1, "name": "` + strings.Repeat("a", 1<<20) + `", "ttype": 1, "seqid": 0}, "payload": {}}`), wire.SizeLimit},
		{"trailing garbage in the document", own(`{"metadata": {"version": 1, "name": "get", "ttype": 1, "seqid": 0}, "payload": {}} x`), wire.Trailing},
		{"half a document", own(`{"metadata": {"version": 1, "name": "get", "ttype": 1, "seqid": 0}}`)[:30], wire.Truncated},
		{"Apache: version 2", `[2,"get",1,0,{}]`, wire.BadVersion},
		{"Apache: not a message", `[[[[]]]]`, wire.BadValue},
		{"Apache: name of 1 MiB", `[1,"` + strings.Repeat("a", 1<<20) + `",1,0,{}]`, wire.SizeLimit},
		{"Apache: garbage behind a message", `[1,"ping",1,77,{}]pigeon`, wire.BadVersion},
		{"Apache: half a message", `[1,"get",1,0,{"1`, wire.Truncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			counted := d.malformed(t)
			conn, err := net.Dial("tcp", d.at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, c.bytes); err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			if _, err := io.Copy(io.Discard, conn); timedOut(err) {
				t.Error("the connection stays open")
			}
			if n := d.malformed(t)[c.want] - counted[c.want]; n != 1 {
				t.Errorf("counted %d times as %s: %v, and before %v", n, c.want, d.malformed(t), counted)
			}
			d.caller(t, forms[0]).good(t)
		})
	}
}
