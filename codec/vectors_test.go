package codec

import (
	"bytes"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
	"github.com/thriftloom/thriftloom/wire/wiretest"
)

// ThriftPy's own messages, the same ones in each protocol, are translated into each other, byte for byte as ThriftPy writes them.
func TestTranslateVectors(t *testing.T) {
	users := schema.MustParse(wiretest.UsersIDL()).Service("Users")
	bodies := map[wire.Protocol]map[string][]byte{}
	structs := map[string]*schema.StructType{}
	for p, all := range map[wire.Protocol][]wiretest.Vector{
		wire.Binary: wiretest.BinaryVectors(), wire.Compact: wiretest.CompactVectors(), wire.JSON: wiretest.JSONVectors(), wire.ApacheJSON: wiretest.ApacheJSONVectors(),
	} {
		bodies[p] = map[string][]byte{}
		for _, v := range all {
			name, isStrict := strings.CutPrefix(v.Name, "strict/")
			if p == wire.Binary && !isStrict {
				continue
			}
			h, _, body, err := message.Parse(p, v.Bytes, wire.Limits{}, "")
			if err != nil {
				t.Fatalf("%s %s: %v", p, v.Name, err)
			}
			m := users.Method(h.Name[strings.IndexByte(h.Name, ':')+1:])
			if m == nil || h.Type == wire.Exception {
				continue
			}
			structs[name] = m.Args
			if h.Type == wire.Reply {
				structs[name] = m.Result
			}
			bodies[p][name] = body
			whole := message.AppendHead(nil, p, h, len(body))
			if whole = append(append(whole, body...), message.Tail(p)...); !bytes.Equal(whole, v.Bytes) {
				t.Errorf("%s %s: put together again %q, want %q", p, v.Name, whole, v.Bytes)
			}
		}
	}
	pairs := 0
	for from := range bodies {
		for to := range bodies {
			for name, body := range bodies[from] {
				want, ok := bodies[to][name]
				if !ok {
					continue
				}
				pairs++
				got, err := Translate(nil, from, to, structs[name], body, wire.Limits{})
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s from %s to %s: %q, %v, want %q", name, from, to, got, err, want)
				}
			}
		}
	}
	if pairs < 300 {
		t.Errorf("%d pairs", pairs)
	}
}
