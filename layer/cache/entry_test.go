package cache

import (
	"reflect"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

func entry() *Entry {
	return &Entry{
		Reply: &rpc.Reply{Protocol: wire.Compact, Body: []byte("body"), Exception: -3}, Versions: []uint64{1, 1<<64 - 1},
		Loaded: time.UnixMilli(1_700_000_000_123), Took: 7 * time.Millisecond, Fresh: time.Minute, Stale: time.Second, OnError: time.Hour,
	}
}

// An entry comes out of a store as it went in; one of a clock that goes before ours lives from now on, and no longer than it was to.
func TestEntryForm(t *testing.T) {
	e := entry()
	b := e.encode()
	got, err := decode(b, e.Loaded.Add(time.Second))
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v; %+v was put in", got, err, e)
	}
	ours := e.Loaded.Add(-time.Hour)
	if got, err := decode(b, ours); err != nil || !got.Loaded.Equal(ours) || got.Until().Sub(ours) != time.Minute+time.Hour {
		t.Errorf("by a clock that goes before: %v, %v", got.Until(), err)
	}
	for n := range b {
		if _, err := decode(b[:n], ours); err == nil {
			t.Fatalf("the first %d bytes are an entry", n)
		}
		c := append([]byte(nil), b...)
		c[n] ^= 0x10
		if _, err := decode(c, ours); err == nil {
			t.Fatalf("byte %d may be another", n)
		}
	}
}

// decode takes whatever there is in a store.
func FuzzDecode(f *testing.F) {
	f.Add(entry().encode())
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b, time.UnixMilli(1<<40))
		if err == nil && (len(e.Versions) > MaxGroups || len(e.Reply.Body) > len(b)) {
			t.Errorf("%+v", e)
		}
	})
}

// A journal knows what was made void after a mark, for ever, and in one place.
func TestJournal(t *testing.T) {
	var j journal
	a, b, g := ID{1}, ID{2}, ID{3}
	before := j.mark()
	j.void(a, g)
	after := j.mark()
	for _, tt := range []struct {
		mark   uint64
		key    ID
		groups []ID
		want   bool
	}{
		{before, b, nil, true}, {before, a, nil, false}, {before, b, []ID{{9}, g}, false}, {after, a, []ID{g}, true},
	} {
		if got := j.holds(tt.mark, tt.key, tt.groups); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	for range 1_000_000 {
		j.void(b)
	}
	if j.holds(before, a, nil) || !j.holds(after, a, nil) {
		t.Error("it has forgotten")
	}
}
