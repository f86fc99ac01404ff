package lease

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/voids"
)

// kept is a cache that notes what it is told.
type kept struct {
	mu    sync.Mutex
	void  map[voids.ID]time.Time
	drops int
}

func (k *kept) Void(ids []voids.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		k.void[id] = time.Now()
	}
}

func (k *kept) VoidAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drops++
}

func (k *kept) counts() (void, drops int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.void), k.drops
}

func id(n int) (id voids.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// keepers are running gateways that keep replies and have heard each other.
func keepers(t *testing.T, all []string) (runs []*member, caches []*kept) {
	for i := range all {
		m, k := run(t, i, all, "a key of the test"), &kept{void: map[voids.ID]time.Time{}}
		m.Keep(k)
		m.Keep(k) // as a reload does: nothing is dropped for it
		if _, drops := k.counts(); drops != 1 {
			t.Errorf("at first all is dropped %d times", drops)
		}
		runs, caches = append(runs, m), append(caches, k)
	}
	for _, m := range runs {
		eventually(t, "all vouch", func() bool {
			ages := m.Snapshot().Voids.Ages
			return len(ages) == len(all) && slices.Min(ages[1:]) >= 0
		})
	}
	return runs, caches
}

// What is made void on one gateway is void on the others, whoever ends, in order or not; where one is killed the others drop all, once it is known.
func TestVoidOverUDP(t *testing.T) {
	runs, caches := keepers(t, addresses(t, 3))
	for n := range 300 {
		runs[n%3].Tell([]voids.ID{id(n)})
	}
	for i, k := range caches {
		eventually(t, fmt.Sprintf("gateway %d knows: %+v", i, runs[i].Snapshot().Voids), func() bool { n, _ := k.counts(); return n == 200 })
	}
	_, before := caches[0].counts()
	for n := range 300 {
		runs[2].Tell([]voids.ID{id(300 + n)})
	}
	runs[2].end() // it waits until all is known
	eventually(t, "it has left", func() bool { return runs[0].Snapshot().Members[2].State == "gone" })
	if n, drops := caches[0].counts(); n != 500 || drops != before {
		t.Errorf("once one has ended: %d are known, all was dropped %d times", n, drops-before)
	}
	s := runs[0].Snapshot().Voids
	if s.Told != 100 || s.Heard < 500 || s.Silent != 0 {
		t.Errorf("%+v", s)
	}
	_, before = caches[0].counts()
	runs[1].Tell([]voids.ID{id(1000)})
	_ = runs[1].socket.Close() // as if it was killed
	eventually(t, "all is dropped", func() bool { _, drops := caches[0].counts(); return drops > before })
	runs[0].Keep(nil)
	if s := runs[0].Snapshot().Voids; s != nil {
		t.Errorf("nothing is kept: %+v", s)
	}
}

// What is sealed with another key, or is no message, makes nothing void. While gateways do not understand each other they drop all now and then.
func TestVoidSealed(t *testing.T) {
	all := addresses(t, 2)
	runs, caches := keepers(t, all)
	runs[1].Runner.mu.Lock()
	inc, number := runs[1].node.inc, uint64(time.Since(runs[1].node.start))
	runs[1].Runner.mu.Unlock()
	runs[0].Runner.mu.Lock()
	own, from := runs[0].node.inc, runs[0].at[0]
	runs[0].Runner.mu.Unlock()
	m := voids.Message{From: inc, Number: number, EchoFrom: own, EchoNumber: 1, Head: 1, Base: 1, First: 1, IDs: []voids.ID{id(1)}}
	runs[0].receive(Seal([]byte("another key"), m.Append(nil)), from)
	runs[0].receive(Seal([]byte("a key of the test"), []byte("TLX\x01 no message")), from)
	m.From = inc + 2
	runs[0].receive(Seal([]byte("a key of the test"), m.Append(nil)), from)
	if n, _ := caches[0].counts(); n != 0 {
		t.Errorf("%d are void", n)
	}
	if d := runs[0].Snapshot().Dropped; d["seal"] != 1 || d["form"] != 1 || d["late"] == 0 {
		t.Errorf("%v", d)
	}
	runs[0].Configure(Config{Name: "gw-0", Listen: all[0], Peers: all, Key: []byte("another key"), Hold: time.Second})
	runs[1].Tell([]voids.ID{id(2)})
	_, before := caches[0].counts()
	eventually(t, "all is dropped", func() bool { _, drops := caches[0].counts(); return drops > before })
	if n, _ := caches[0].counts(); n != 0 || runs[0].Snapshot().Voids.Silent != 1 {
		t.Errorf("%d are void; %+v", n, runs[0].Snapshot().Voids)
	}
}

// A gateway that waits for the address of another process hears nobody: it keeps nothing for long.
func TestVoidBeforeListening(t *testing.T) {
	all := addresses(t, 2)
	first, k := run(t, 0, all, ""), &kept{}
	next := Later(Config{Name: "gw-0", Listen: all[0], Peers: all}, silent)
	next.Keep(k)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := next.Run(ctx); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("ended with %v", err)
		}
	}()
	eventually(t, "all is dropped again and again", func() bool { _, drops := k.counts(); return drops > 2 })
	first.SetFollowed(true)
	own := &kept{}
	first.Keep(own)
	eventually(t, "the one before does so too", func() bool { _, drops := own.counts(); return drops > 2 })
	cancel()
	<-done
}
