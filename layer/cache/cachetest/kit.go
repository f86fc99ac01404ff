// Package cachetest is the kit that every store of the cache has to pass, and a store in memory for tests.
package cachetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// Server is where a store keeps things. What it cannot do is nil.
type Server struct {
	// Open returns a client of it, as each gateway has one, until the test ends.
	Open func(t *testing.T, events cache.Events) cache.Store
	// Kill ends the server at once, and Start starts it anew, at the same address.
	Kill, Start func()
}

// second is the shortest term and life: some stores know no shorter ones.
const second = time.Second

// Run checks what a Store promises. Each test has a server of its own.
func Run(t *testing.T, start func(t *testing.T) Server) {
	tests := []struct {
		name string
		f    func(k *kit)
	}{
		{"nothing is there at first", (*kit).empty},
		{"what one gateway puts another gets", (*kit).shared},
		{"any bytes and lengths", (*kit).bytes},
		{"one lease at a time", (*kit).oneLease},
		{"a lease over a value", (*kit).refresh},
		{"a lease ends with its term", (*kit).term},
		{"a value ends with its life", (*kit).life},
		{"deleted while it is loaded", (*kit).deletedLoad},
		{"a group is invalidated", (*kit).invalidated},
		{"a context that has ended", (*kit).ended},
		{"nothing old comes back", (*kit).nothingOld},
		{"changes are told", (*kit).told},
		{"the server is away for a while", (*kit).away},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.f(&kit{t, start(t)}) })
	}
}

type kit struct {
	*testing.T
	server Server
}

func (k *kit) open() cache.Store { return k.server.Open(k.T, cache.Events{}) }

func id(n int) (out cache.ID) {
	binary.BigEndian.PutUint64(out[:], uint64(n)*0x9e3779b97f4a7c15)
	return out
}

// must is the value of what has not failed.
func must[T any](v T, err error) func(k *kit) T {
	return func(k *kit) T {
		k.Helper()
		if err != nil {
			k.Fatal(err)
		}
		return v
	}
}

func (k *kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) get(s cache.Store, key cache.ID, groups ...cache.ID) cache.Stored {
	k.Helper()
	return must(s.Get(k.Context(), key, groups))(k)
}

func (k *kit) acquire(s cache.Store, key cache.ID, groups ...cache.ID) cache.Lease {
	k.Helper()
	return must(s.Acquire(k.Context(), key, groups, 30*second))(k)
}

func (k *kit) put(s cache.Store, key cache.ID, l cache.Lease, value string) bool {
	k.Helper()
	return must(s.Put(k.Context(), key, l, []byte(value), time.Minute))(k)
}

func (k *kit) wants(s cache.Store, key cache.ID, value string) {
	k.Helper()
	if got := k.get(s, key).Value; string(got) != value || (got == nil) != (value == "") {
		k.Fatalf("%q, %q is wanted", got, value)
	}
}

// within waits until f is true.
func (k *kit) within(d time.Duration, what string, f func() bool) {
	k.Helper()
	for end := time.Now().Add(d); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("not within %v: %s", d, what)
		}
	}
}

func (k *kit) empty() {
	s := k.open()
	if got := k.get(s, id(1), id(2), id(3)); got.Value != nil || !slices.Equal(got.Versions, []uint64{0, 0}) {
		k.Errorf("%+v", got)
	}
	k.ok(s.Delete(k.Context(), id(1), id(2)))
	k.ok(s.Release(k.Context(), id(1), cache.Lease{Token: 1}))
	k.ok(s.Extend(k.Context(), id(1), cache.Lease{Token: 1}, second))
	if k.put(s, id(1), cache.Lease{Token: 1}, "x") {
		k.Error("a value is kept without a lease")
	}
	k.wants(s, id(1), "")
}

func (k *kit) shared() {
	a, b := k.open(), k.open()
	l := k.acquire(a, id(1), id(2), id(3))
	if l.Token == 0 || len(l.Versions) != 2 || l.Versions[0] == 0 || l.Versions[1] == 0 {
		k.Fatalf("%+v", l)
	}
	k.wants(b, id(1), "")
	if !k.put(a, id(1), l, "ada") {
		k.Fatal("not kept")
	}
	for _, s := range []cache.Store{a, b} {
		if got := k.get(s, id(1), id(2), id(3)); string(got.Value) != "ada" || !slices.Equal(got.Versions, l.Versions) {
			k.Errorf("%+v, put under %+v", got, l)
		}
	}
	if k.put(a, id(1), l, "again") {
		k.Error("one lease is good for two values")
	}
	k.ok(b.Delete(k.Context(), id(1)))
	k.wants(a, id(1), "")
}

func (k *kit) bytes() {
	s := k.open()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, value := range [][]byte{{0}, []byte("\r\n"), []byte("END\r\nVALUE x 0 1\r\n"), all, bytes.Repeat(all, 4000)} {
		k.put(s, id(i), k.acquire(s, id(i)), string(value))
		if got := k.get(s, id(i)).Value; !bytes.Equal(got, value) {
			k.Errorf("%d bytes, put were %d", len(got), len(value))
		}
	}
}

func (k *kit) oneLease() {
	a, b := k.open(), k.open()
	l := k.acquire(a, id(1))
	for _, s := range []cache.Store{a, b} {
		if k.acquire(s, id(1)).Token != 0 {
			k.Fatal("two have the lease")
		}
	}
	if k.acquire(b, id(2)).Token == 0 {
		k.Error("the lease of another key")
	}
	k.ok(b.Release(k.Context(), id(1), cache.Lease{Token: l.Token + 1}))
	if k.acquire(b, id(1)).Token != 0 {
		k.Fatal("who has no lease releases one")
	}
	k.ok(a.Release(k.Context(), id(1), l))
	l2 := k.acquire(b, id(1))
	if l2.Token == 0 {
		k.Fatal("a lease that was released is not given")
	}
	if k.put(a, id(1), l, "old") || !k.put(b, id(1), l2, "new") {
		k.Error("a value under a lease that was released")
	}
	k.wants(a, id(1), "new")
	var winners atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			if l, err := []cache.Store{a, b}[i%2].Acquire(k.Context(), id(3), nil, 30*second); err != nil || l.Token != 0 {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	if winners.Load() != 1 {
		k.Errorf("%d of 32 have the lease", winners.Load())
	}
}

func (k *kit) refresh() {
	a, b := k.open(), k.open()
	k.put(a, id(1), k.acquire(a, id(1)), "one")
	l := k.acquire(a, id(1))
	if l.Token == 0 || k.acquire(b, id(1)).Token != 0 {
		k.Fatal("not one lease over a value")
	}
	k.wants(b, id(1), "one")
	if !k.put(a, id(1), l, "two") {
		k.Error("not kept")
	}
	k.wants(b, id(1), "two")
	l = k.acquire(b, id(1))
	k.ok(b.Release(k.Context(), id(1), l))
	k.wants(b, id(1), "two")
	if k.acquire(a, id(1)).Token == 0 {
		k.Error("a lease over a value that was released is not given")
	}
}

func (k *kit) term() {
	a, b := k.open(), k.open()
	const term = 4 * second // a machine that is busy may sleep for too long
	l := must(a.Acquire(k.Context(), id(1), nil, term))(k)
	for began, last := time.Now(), time.Now(); time.Since(began) < term+second/2; last = time.Now() {
		time.Sleep(second / 4)
		k.ok(a.Extend(k.Context(), id(1), l, term))
		if gap := time.Since(last); gap > term/2 {
			k.Skipf("this machine stood still for %v", gap)
		}
	}
	if k.acquire(b, id(1)).Token != 0 {
		k.Error("a lease that is extended has ended")
	}
	k.within(10*second, "another has the lease", func() bool { return k.acquire(b, id(1)).Token != 0 })
	if k.put(a, id(1), l, "late") {
		k.Error("a value under a lease that has ended")
	}
}

func (k *kit) life() {
	s := k.open()
	l := k.acquire(s, id(1))
	if !must(s.Put(k.Context(), id(1), l, []byte("x"), 2*second))(k) {
		k.Fatal("not kept")
	}
	k.wants(s, id(1), "x")
	k.within(5*second, "the value is gone", func() bool { return k.get(s, id(1)).Value == nil })
}

func (k *kit) deletedLoad() {
	a, b := k.open(), k.open()
	l := k.acquire(a, id(1))
	k.ok(b.Delete(k.Context(), id(1)))
	if k.put(a, id(1), l, "old") {
		k.Error("a value whose load had begun before the key was deleted is kept")
	}
	k.wants(b, id(1), "")
	k.put(a, id(1), k.acquire(a, id(1)), "one")
	l = k.acquire(a, id(1))
	k.ok(b.Delete(k.Context(), id(1)))
	if k.put(a, id(1), l, "old") {
		k.Error("… or one that was to replace a value")
	}
	k.wants(a, id(1), "")
}

func (k *kit) invalidated() {
	a, b := k.open(), k.open()
	l := k.acquire(a, id(1), id(8), id(9))
	k.put(a, id(1), l, "x")
	k.ok(b.Invalidate(k.Context(), id(9), id(7)))
	got := k.get(a, id(1), id(8), id(9), id(7))
	if got.Versions[0] != l.Versions[0] || got.Versions[1] == l.Versions[1] || got.Versions[2] == 0 {
		k.Errorf("%v, before %v", got.Versions, l.Versions)
	}
	if l := k.acquire(b, id(1), id(8), id(9), id(7)); !slices.Equal(l.Versions, got.Versions) {
		k.Errorf("the lease knows %v, the store %v", l.Versions, got.Versions)
	}
}

func (k *kit) ended() {
	s := k.open()
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	if _, err := s.Get(ctx, id(1), nil); err == nil {
		k.Error("no error")
	}
	k.wants(s, id(1), "")
}

// nothingOld plays gateways that load, read, write, delete and invalidate at random: none ever reads what was true before a change that
// was known to all when it began to read.
func (k *kit) nothingOld() {
	seed := rand.Uint64()
	k.Logf("seed %d", seed)
	const keys, workers, steps = 3, 8, 400
	var truth, told [keys]atomic.Uint64 // what is true; what was true when the last change had been told to the store
	var changing [keys]sync.Mutex
	group := id(100)
	var all sync.WaitGroup
	for w := range workers {
		s, random := k.open(), rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for range steps {
				i := random.IntN(keys)
				if err := k.step(s, random, id(i), group, &truth[i], &told[i], &changing[i]); err != nil {
					k.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func (k *kit) step(s cache.Store, random *rand.Rand, key, group cache.ID, truth, told *atomic.Uint64, changing *sync.Mutex) error {
	ctx := k.Context()
	switch random.IntN(8) {
	case 0: // a change
		changing.Lock()
		defer changing.Unlock()
		now := truth.Add(1)
		change := func() error { return s.Delete(ctx, key) }
		if random.IntN(2) == 0 {
			change = func() error { return s.Invalidate(ctx, group) }
		}
		if err := change(); err != nil {
			return err
		}
		told.Store(now)
	case 1, 2, 3: // a load
		l, err := s.Acquire(ctx, key, []cache.ID{group}, 30*second)
		if err != nil || l.Token == 0 {
			return err
		}
		b := binary.BigEndian.AppendUint64(nil, truth.Load())
		time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
		_, err = s.Put(ctx, key, l, binary.BigEndian.AppendUint64(b, l.Versions[0]), time.Minute)
		return err
	default:
		least := told.Load()
		got, err := s.Get(ctx, key, []cache.ID{group})
		if err != nil || got.Value == nil || binary.BigEndian.Uint64(got.Value[8:]) != got.Versions[0] {
			return err
		}
		if n := binary.BigEndian.Uint64(got.Value); n < least {
			return fmt.Errorf("%d is read after %d was told", n, least)
		}
	}
	return nil
}

func (k *kit) told() {
	var mu sync.Mutex
	seen := map[cache.ID]bool{}
	a := k.server.Open(k.T, cache.Events{Changed: func(ids []cache.ID) {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			seen[id] = true
		}
	}})
	if !a.Tracks() {
		k.Skip("it tells nothing")
	}
	b := k.open()
	told := func(what string, id cache.ID) {
		k.Helper()
		k.within(2*second, what+" is told", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return seen[id]
		})
		mu.Lock()
		clear(seen)
		mu.Unlock()
	}
	k.put(a, id(1), k.acquire(a, id(1), id(8)), "own") // what one has put itself is tracked like what was asked for
	k.ok(b.Delete(k.Context(), id(1)))
	told("a deletion", id(1))
	k.get(a, id(1))
	k.put(b, id(1), k.acquire(b, id(1)), "theirs")
	told("another's value", id(1))
	k.ok(b.Invalidate(k.Context(), id(8)))
	told("a group of a lease", id(8))
	k.get(a, id(2), id(8))
	k.ok(b.Invalidate(k.Context(), id(8)))
	told("a group that was asked for", id(8))
}

func (k *kit) away() {
	if k.server.Kill == nil {
		k.Skip("it is never away")
	}
	var lost atomic.Bool
	s := k.server.Open(k.T, cache.Events{Lost: func() { lost.Store(true) }})
	k.put(s, id(1), k.acquire(s, id(1)), "x")
	k.get(s, id(1))
	k.server.Kill()
	if s.Tracks() {
		k.within(second, "the loss is told", lost.Load)
	}
	ctx, cancel := context.WithTimeout(k.Context(), second/2)
	_, err := s.Get(ctx, id(1), nil)
	cancel()
	if err == nil {
		k.Error("it answers without a server")
	}
	k.server.Start()
	k.within(10*second, "it is asked again", func() bool {
		ctx, cancel := context.WithTimeout(k.Context(), second/2)
		defer cancel()
		_, err := s.Get(ctx, id(1), nil)
		return err == nil
	})
	k.put(s, id(2), k.acquire(s, id(2)), "y")
	k.wants(s, id(2), "y")
}
