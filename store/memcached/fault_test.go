package memcached

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// id is the n-th ID, as evenly spread as those of replies.
func id(n int) (out cache.ID) {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	copy(out[:], h[:])
	return out
}

func short(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// keep puts a value.
func keep(t testing.TB, s *Store, key cache.ID, value string) {
	t.Helper()
	l := must(s.Acquire(t.Context(), key, nil, 30*time.Second))(t)
	if !must(s.Put(t.Context(), key, l, []byte(value), time.Hour))(t) {
		t.Fatalf("%q is not kept", value)
	}
}

func wants(t testing.TB, s *Store, key cache.ID, value string) {
	t.Helper()
	if got := must(s.Get(t.Context(), key, nil))(t); string(got.Value) != value {
		t.Fatalf("%q, %q is wanted", got.Value, value)
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (s *Store) isOut(node int) bool { return s.Snapshot()[node].Out }

// homedAt returns the first key whose home a node is, after another one.
func (s *Store) homedAt(node, after int) (n int, key cache.ID) {
	for n = after + 1; ; n++ {
		key = id(n)
		home := -1
		s.ring.walk(key, func(at int) bool { home = at; return false })
		if home == node {
			return n, key
		}
	}
}

// A server that is stopped holds nobody beyond its context, and is left out after the timeout; what was purged meanwhile is gone when it goes on.
func TestStoppedServer(t *testing.T) {
	nodes := startNodes(t, 3)
	s, other := open(t, nodes...), open(t, nodes...)
	n, key := s.homedAt(0, 0)
	_, kept := s.homedAt(0, n)
	keep(t, s, key, "old")
	keep(t, s, kept, "too")
	wants(t, other, key, "old")
	nodes[0].Process().Signal(t, syscall.SIGSTOP)
	eventually(t, "a request ends with its context", func() bool { // the first ones may come before the signal
		_, err := s.Get(short(t, 20*time.Millisecond), key, nil)
		return errors.Is(err, context.DeadlineExceeded)
	})
	eventually(t, "the node is out", func() bool { return s.isOut(0) })
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	keep(t, s, key, "new")
	wants(t, s, key, "new")
	nodes[0].Process().Signal(t, syscall.SIGCONT)
	eventually(t, "the node is back", func() bool { return !s.isOut(0) })
	wants(t, s, key, "")
	wants(t, s, kept, "") // all that it had is void
	eventually(t, "the other gateway does not get it either", func() bool {
		got, err := other.Get(t.Context(), key, nil)
		return err == nil && got.Value == nil
	})
	keep(t, s, key, "newer")
	wants(t, other, key, "newer")
}

// A node that nobody had to purge has what it had when it is back: it loses nothing for a pause.
func TestStoppedServerThatMissedNothing(t *testing.T) {
	nodes := startNodes(t, 2)
	s := openConfig(t, Config{Addresses: []string{nodes[0].Address, nodes[1].Address}, Timeout: 200 * time.Millisecond})
	_, key := s.homedAt(0, 0)
	keep(t, s, key, "x")
	nodes[0].Process().Signal(t, syscall.SIGSTOP)
	eventually(t, "the node is out", func() bool { // the first requests may come before the signal
		_, _ = s.Get(t.Context(), key, nil)
		return s.isOut(0)
	})
	nodes[0].Process().Signal(t, syscall.SIGCONT)
	eventually(t, "the node is back", func() bool { return !s.isOut(0) })
	wants(t, s, key, "x")
}

// What another node has kept in place of one that was out is not served the next time that it stands in.
func TestStandInForgets(t *testing.T) {
	nodes := startNodes(t, 2)
	s := open(t, nodes...)
	_, key := s.homedAt(0, 0)
	keep(t, s, key, "first")
	nodes[0].Kill()
	keep(t, s, key, "while it is out")
	nodes[0].Start()
	eventually(t, "the node is back", func() bool { return !s.isOut(0) })
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	nodes[0].Kill()
	wants(t, s, key, "")
	wants(t, open(t, nodes...), key, "") // nor to a gateway that saw nothing of it
}

// … and that holds for each node that stands in, also where the home is out all the while.
func TestSecondStandInForgets(t *testing.T) {
	nodes := startNodes(t, 3)
	s := open(t, nodes...)
	var key cache.ID
	for n := 0; ; n++ {
		var order []int
		n, key = s.homedAt(0, n)
		if s.ring.walk(key, func(node int) bool { order = append(order, node); return true }); order[1] == 1 {
			break
		}
	}
	nodes[0].Kill()
	nodes[1].Kill()
	keep(t, s, key, "while both are out")
	nodes[1].Start()
	eventually(t, "the node is back", func() bool { return !s.isOut(1) })
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	nodes[1].Kill()
	wants(t, s, key, "")
	wants(t, open(t, nodes...), key, "")
}

// A gateway that cannot reach a node, while others can, makes void what the node keeps as soon as it can: its purges hold then for all.
func TestPartition(t *testing.T) {
	nodes := startNodes(t, 2)
	var cut atomic.Bool
	c := Config{Addresses: []string{nodes[0].Address, nodes[1].Address}}
	var dialer net.Dialer
	s := must(newStore(c, func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut.Load() && address == nodes[0].Address {
			return nil, syscall.ENETUNREACH
		}
		return dialer.DialContext(ctx, network, address)
	}))(t)
	t.Cleanup(s.Close)
	other := open(t, nodes...)
	_, key := s.homedAt(0, 0)
	keep(t, other, key, "old")
	cut.Store(true)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	wants(t, s, key, "")
	cut.Store(false)
	eventually(t, "the purge holds for the other gateway", func() bool { // the first one asks for nothing more
		return must(other.Get(t.Context(), key, nil))(t).Value == nil
	})
}

// A lease from before a server was started anew is void, though the server counts from the beginning again.
func TestLeaseOverRestart(t *testing.T) {
	nodes := startNodes(t, 1)
	take := func() (*Store, cache.Lease) {
		s := open(t, nodes...)
		return s, must(s.Acquire(t.Context(), id(1), nil, 30*time.Second))(t)
	}
	a, old := take()
	nodes[0].Kill()
	nodes[0].Start()
	b, _ := take()
	for { // the first answers may be that the connection has broken
		kept, err := a.Put(t.Context(), id(1), old, []byte("old"), time.Minute)
		if kept {
			t.Fatal("kept")
		}
		if err == nil {
			break
		}
	}
	wants(t, b, id(1), "")
}

// A gateway that ends while it loads a value anew holds up the others for the term of its lease; late, it writes nothing.
func TestLeaseOverValueEnds(t *testing.T) {
	nodes := startNodes(t, 1)
	a, b := open(t, nodes...), open(t, nodes...)
	keep(t, a, id(1), "one")
	l := must(a.Acquire(t.Context(), id(1), nil, time.Second))(t)
	for range 3 {
		if must(b.Acquire(t.Context(), id(1), nil, time.Second))(t).Token != 0 {
			t.Fatal("two have the lease")
		}
		if err := a.Extend(t.Context(), id(1), l, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	var next cache.Lease
	eventually(t, "another has the lease", func() bool {
		next = must(b.Acquire(t.Context(), id(1), nil, 30*time.Second))(t)
		return next.Token != 0
	})
	if must(a.Put(t.Context(), id(1), l, []byte("late"), time.Minute))(t) {
		t.Error("a value under a lease that has ended")
	}
	wants(t, a, id(1), "one")
	if !must(b.Put(t.Context(), id(1), next, []byte("two"), time.Minute))(t) {
		t.Error("not kept")
	}
	wants(t, a, id(1), "two")
}

// What memcached throws out to make room is not there, and no error; what it cannot take is not kept, and its lease is free again.
func TestEvictedAndOversized(t *testing.T) {
	s := open(t, peertest.StartMemcached(t, "-m", "8"))
	value := bytes.Repeat([]byte("x"), 100_000)
	held := must(s.Acquire(t.Context(), id(-1), []cache.ID{id(-2)}, time.Hour))(t)
	const n = 300
	for i := range n {
		keep(t, s, id(i), string(value))
	}
	there := 0
	for i := range n {
		if got := must(s.Get(t.Context(), id(i), nil))(t).Value; got != nil {
			if there++; !bytes.Equal(got, value) {
				t.Fatal("another value")
			}
		}
	}
	if there == 0 || there > n/2 {
		t.Errorf("%d of %d values of 100 kB are in 8 MiB", there, n)
	}
	_ = must(s.Put(t.Context(), id(-1), held, []byte("x"), time.Hour))(t)
	for _, size := range []int{1 << 20, maxValueBytes + 1, 0} {
		l := must(s.Acquire(t.Context(), id(n), nil, time.Hour))(t)
		if l.Token == 0 {
			t.Fatal("no lease")
		}
		if must(s.Put(t.Context(), id(n), l, make([]byte, size), time.Hour))(t) {
			t.Errorf("%d bytes are kept", size)
		}
	}
	keep(t, s, id(n), "small")
}

// Callers that go at any time, many on one connection, break it for nobody, and nobody gets what another has asked for.
func TestCallersGo(t *testing.T) {
	nodes := startNodes(t, 1)
	s := openConfig(t, Config{Addresses: []string{nodes[0].Address}, Connections: 1, Timeout: time.Minute})
	const keys = 32
	for i := range keys {
		keep(t, s, id(i), fmt.Sprint("value ", i))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	var answered atomic.Int64
	for w := range 32 {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for range 200 {
				i := random.IntN(keys)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(2000))*time.Microsecond)
				got, err := s.Get(ctx, id(i), nil)
				cancel()
				if err == nil {
					answered.Add(1)
					if string(got.Value) != fmt.Sprint("value ", i) {
						t.Errorf("%q for %d", got.Value, i)
					}
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d answered", answered.Load(), 32*200)
	conn := s.nodes[0].links[0].conn
	wants(t, s, id(1), "value 1")
	if s.nodes[0].links[0].conn != conn || s.isOut(0) {
		t.Error("the connection was made anew")
	}
}

// A server is reached over a unix socket.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "mc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	node := peertest.StartMemcached(t)
	l := must(net.Listen("unix", path))(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { forward(c, node.Address) })
		}
	})
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	s := openConfig(t, Config{Addresses: []string{"unix:" + path}})
	keep(t, s, id(1), "x")
	wants(t, s, id(1), "x")
}

// forward copies both ways until one end closes.
func forward(c net.Conn, address string) {
	defer c.Close()
	peer, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, peer)
		c.Close()
	})
	_, _ = io.Copy(peer, c)
	peer.Close()
	back.Wait()
}
