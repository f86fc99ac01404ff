package hostile

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// vector is one message that a real ThriftPy has written.
type vector struct {
	form
	name   string // library, kind and call, for people
	client bool   // who sent it
	oneway bool
	bytes  []byte
	m      transport.Message
}

func (v vector) wire() transport.Wire { return transport.Wire{Kind: v.kind, Protocol: wire.Binary} }

// vectors returns the captured messages that differ from each other.
func vectors(t *testing.T) (all []vector) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(peertest.Root(), "testdata/vectors/*.tsv"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.Lines(string(text)) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			lines++
			b, err := hex.DecodeString(f[5])
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			v := vector{name: filepath.Base(file) + " " + strings.Join(f[:5], " "), client: f[0] == "client", oneway: f[3] == "oneway", bytes: b}
			v.kind, v.old = transport.Buffered, f[2] == "old"
			if f[1] == "framed" {
				v.kind = transport.Framed
			}
			v.m = v.whole(t)
			if !seen[f[1]+f[5]] {
				seen[f[1]+f[5]] = true
				all = append(all, v)
			}
		}
		if lines < 50 {
			t.Errorf("%s has %d messages, want 50 at least", file, lines)
		}
	}
	return all
}

// whole parses the message, which has to be one and nothing else.
func (v vector) whole(t *testing.T) transport.Message {
	t.Helper()
	s, err := transport.NewSplitter(v.wire(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m, used, _, err := s.Split(v.bytes)
	if err != nil || used != len(v.bytes) {
		t.Fatalf("%s: %d bytes of %d, %v", v.name, used, len(v.bytes), err)
	}
	if m.Head.NonStrict != v.old {
		t.Fatalf("%s: head %+v", v.name, m.Head)
	}
	return m
}
