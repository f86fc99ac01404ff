package apachejson_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/apachejson"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// ThriftPy's messages are read; white space is no matter.
func TestParse(t *testing.T) {
	for _, v := range wiretest.ApacheJSONVectors() {
		if _, _, _, err := apachejson.Parse(v.Bytes, wire.Limits{}, ""); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	h, ok, body, err := apachejson.Parse([]byte(` [ 1 , "echo" , 1 , -7 , {"1":{"str":"hi"}} ] `), wire.Limits{}, "")
	if (h != wire.Head{Name: "echo", Seq: -7, Type: wire.Call}) || !ok || string(body) != `{"1":{"str":"hi"}}` || err != nil {
		t.Errorf("%+v, %s, %v", h, body, err)
	}
}

// What is no message is refused with what is wrong, and whom to answer where that is known.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       wire.Reason
		headOK     bool
	}{
		{"an object", `{}`, wire.BadValue, false},
		{"version 2", `[2,"echo",1,7,{}]`, wire.BadVersion, false},
		{"message type 9", `[1,"echo",9,7,{}]`, wire.BadType, true},
		{"message type 300", `[1,"echo",300,7,{}]`, wire.BadType, true},
		{"sequence id of 33 bits", `[1,"echo",1,4294967296,{}]`, wire.BadValue, false},
		{"name of 1 MiB", `[1,"` + strings.Repeat("a", 1<<20) + `",1,7,{}]`, wire.SizeLimit, false},
		{"no struct", `[1,"echo",1,7]`, wire.BadValue, false},
		{"a list for a struct", `[1,"echo",1,7,[]]`, wire.BadValue, true},
		{"one more value", `[1,"echo",1,7,{},1]`, wire.BadValue, true},
		{"trailing garbage", `[1,"echo",1,7,{}]x`, wire.Trailing, true},
		{"10^4 deep", `[1,"echo",1,7,{"1":` + strings.Repeat("[", 10_000), wire.DepthLimit, true},
		{"cut off", `[1,"echo",1,7,{"1"`, wire.Truncated, true},
		{"nothing", ``, wire.Truncated, false},
	} {
		h, headOK, _, err := apachejson.Parse([]byte(c.text), wire.Limits{}, "")
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Reason != c.want || headOK != c.headOK || headOK && (h.Name != "echo" || h.Seq != 7) {
			t.Errorf("%s: %+v %t, %v, want %s", c.name, h, headOK, err, c.want)
		}
	}
}

// The head of a message that is on its way is known once it is there in full.
func TestPeek(t *testing.T) {
	m := []byte(`[1,"echo",1,7,{"1":{"str":"hi"}}]`)
	for cut := range m {
		if h, ok := apachejson.Peek(m[:cut], wire.Limits{}, ""); ok != (cut >= len(`[1,"echo",1,7,`)) || ok && h.Seq != 7 {
			t.Errorf("%d of %d bytes: %+v, %t", cut, len(m), h, ok)
		}
	}
}

// An exception is read as it was written; what is unknown in it is walked over.
func TestApplication(t *testing.T) {
	for _, text := range []string{"", "broken \"é\""} {
		body := apachejson.AppendApplication(nil, 6, text)
		if typ, got, err := apachejson.ParseApplication(body, wire.Limits{}); typ != 6 || got != text || err != nil {
			t.Errorf("%s: %d %q %v", body, typ, got, err)
		}
	}
	odd := `{"9":{"lst":["i32",1,1]},"2":{"i32":7},"1":{"i32":5},"1":{"str":"late"}}`
	if typ, text, err := apachejson.ParseApplication([]byte(odd), wire.Limits{}); typ != 7 || text != "late" || err != nil {
		t.Errorf("%d %q %v", typ, text, err)
	}
	for _, bad := range []string{`{"2":{"i32":4294967296}}`, `{"x":{"i32":1}}`, `{"70000":{"i32":1}}`, `{"2":{"pigeon":1}}`, `{"2":{"i32":1}`, `{}1`} {
		if _, _, err := apachejson.ParseApplication([]byte(bad), wire.Limits{}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if id, ok := apachejson.ResultField([]byte(`{"1":{"rec":{}}}`)); id != 1 || !ok {
		t.Errorf("%d, %t", id, ok)
	}
	if _, ok := apachejson.ResultField([]byte(`{}`)); ok {
		t.Error("an empty result has a field")
	}
}

// Whatever the bytes: no panic, and a message that is read is written again with the same meaning.
func FuzzParse(f *testing.F) {
	for _, v := range wiretest.ApacheJSONVectors() {
		f.Add(v.Bytes)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		_, _ = apachejson.Peek(buf, wire.Limits{}, "")
		h, _, body, err := apachejson.Parse(buf, wire.Limits{}, "")
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Fatalf("%v is no *wire.Error", err)
			}
			return
		}
		again := append(append(apachejson.AppendHead(nil, h), body...), apachejson.Tail...)
		if h2, _, body2, err := apachejson.Parse(again, wire.Limits{}, ""); err != nil || h2 != h || string(body2) != string(body) {
			t.Fatalf("%q became %q: %v", buf, again, err)
		}
	})
}
