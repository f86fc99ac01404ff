package json_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/json"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

func message(document string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(document))), document...)
}

const meta = `"metadata": {"version": 1, "name": "echo", "ttype": 1, "seqid": 7}`

// ThriftPy's messages are read, and so are others that mean the same.
func TestParse(t *testing.T) {
	for _, v := range wiretest.JSONVectors() {
		if _, _, _, err := json.Parse(v.Bytes, wire.Limits{}, ""); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	want := wire.Head{Name: "echo", Seq: 7, Type: wire.Call}
	for _, document := range []string{
		`{` + meta + `, "payload": {"s": "hi"}}`, `{"payload":{"s": "hi"},` + meta + `}`, ` { ` + meta + `,"more":[1],"payload":{"s": "hi"} } `,
		`{"metadata":{"seqid":7,"ttype":1,"name":"\u0065cho","x":{},"version":1},"payload":{"s": "hi"}}`,
	} {
		h, ok, body, err := json.Parse(message(document), wire.Limits{}, "")
		if h != want || !ok || string(body) != `{"s": "hi"}` || err != nil {
			t.Errorf("%s: %+v, %s, %v", document, h, body, err)
		}
	}
}

// What is no message is refused with what is wrong, and whom to answer where that is known.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name, document string
		want           wire.Reason
		headOK         bool
	}{
		{"not an object", `[]`, wire.BadValue, false},
		{"no payload", `{` + meta + `}`, wire.BadValue, true},
		{"no metadata", `{"payload": {}}`, wire.BadValue, false},
		{"payload twice", `{` + meta + `, "payload": {}, "payload": {}}`, wire.BadValue, true},
		{"metadata twice", `{` + meta + `, ` + meta + `, "payload": {}}`, wire.BadValue, true},
		{"name twice", `{"metadata": {"version": 1, "name": "a", "name": "b", "ttype": 1, "seqid": 7}, "payload": {}}`, wire.BadValue, false},
		{"version 2", strings.Replace(`{`+meta+`, "payload": {}}`, `"version": 1`, `"version": 2`, 1), wire.BadVersion, false},
		{"message type 9", strings.Replace(`{`+meta+`, "payload": {}}`, `"ttype": 1`, `"ttype": 9`, 1), wire.BadType, true},
		{"message type -1", strings.Replace(`{`+meta+`, "payload": {}}`, `"ttype": 1`, `"ttype": -1`, 1), wire.BadType, false},
		{"sequence id of 33 bits", strings.Replace(`{`+meta+`, "payload": {}}`, `"seqid": 7`, `"seqid": 4294967296`, 1), wire.BadValue, false},
		{"sequence id of 1.5", strings.Replace(`{`+meta+`, "payload": {}}`, `"seqid": 7`, `"seqid": 1.5`, 1), wire.BadValue, false},
		{"name of 1 MiB", strings.Replace(`{`+meta+`, "payload": {}}`, `echo`, strings.Repeat("a", 1<<20), 1), wire.SizeLimit, false},
		{"payload a list", `{` + meta + `, "payload": []}`, wire.BadValue, true},
		{"trailing garbage", `{` + meta + `, "payload": {}} x`, wire.Trailing, true},
		{"10^4 deep", `{` + meta + `, "payload": {"a":` + strings.Repeat("[", 10_000), wire.DepthLimit, true},
		{"cut off", `{` + meta + `, "payload": {"a"`, wire.Truncated, true},
	} {
		h, headOK, _, err := json.Parse(message(c.document), wire.Limits{}, "")
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != c.want || headOK != c.headOK || headOK && (h.Name != "echo" || h.Seq != 7) {
			t.Errorf("%s: %+v %t, %v, want %s", c.name, h, headOK, err, c.want)
		}
	}
	for _, buf := range []string{"", "\x00\x00\x00", "\x00\x00\x00\x05{}", "\x7f\xff\xff\xff{}", "\x00\x00\x00\x01{}"} {
		if _, _, _, err := json.Parse([]byte(buf), wire.Limits{}, ""); err == nil {
			t.Errorf("%q is accepted", buf)
		}
	}
}

// The head of a message that is on its way is known once the metadata are there.
func TestPeek(t *testing.T) {
	m := message(`{` + meta + `, "payload": {"s": "hi"}}`)
	there := 4 + len(`{`+meta)
	for cut := range m {
		if h, ok := json.Peek(m[:cut], wire.Limits{}, ""); ok != (cut >= there) || ok && h.Name != "echo" {
			t.Errorf("%d of %d bytes: %+v, %t", cut, len(m), h, ok)
		}
	}
}

// An exception is read as it was written.
func TestApplication(t *testing.T) {
	for _, text := range []string{"", "broken \"é\""} {
		body := json.AppendApplication(nil, 6, text)
		if typ, got, err := json.ParseApplication(body, wire.Limits{}); typ != 6 || got != text || err != nil {
			t.Errorf("%s: %d %q %v", body, typ, got, err)
		}
	}
	if _, _, err := json.ParseApplication([]byte(`{"type": "x"}`), wire.Limits{}); err == nil {
		t.Error("a type that is no number is accepted")
	}
	if name, ok := json.ResultField([]byte(`{"nf": {}}`)); name != "nf" || !ok {
		t.Errorf("%q, %t", name, ok)
	}
	if _, ok := json.ResultField([]byte(`{}`)); ok {
		t.Error("an empty result has a field")
	}
}

// Whatever the bytes: no panic, and a message that is read is written again with the same meaning.
func FuzzParse(f *testing.F) {
	for _, v := range wiretest.JSONVectors() {
		f.Add(v.Bytes)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		_, _ = json.Peek(buf, wire.Limits{}, "")
		h, _, body, err := json.Parse(buf, wire.Limits{}, "")
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%v is no *wire.Error", err)
			}
			return
		}
		again := append(append(json.AppendHead(nil, h, len(body)), body...), json.Tail...)
		h2, _, body2, err := json.Parse(again, wire.Limits{}, "")
		h.Name = strings.ToValidUTF8(h.Name, "\ufffd")
		h2.Name = strings.ToValidUTF8(h2.Name, "\ufffd")
		if err != nil || h2.Seq != h.Seq || h2.Type != h.Type || string(body2) != string(body) {
			t.Fatalf("%q became %q: %v", buf, again, err)
		}
	})
}
