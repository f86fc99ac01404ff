package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// client returns a connection to one server as any program may have one.
func client(t testing.TB, address string) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// admin returns what asks one server for anything, which has to go well.
func admin(t testing.TB, address string) func(args ...string) rueidis.RedisMessage {
	t.Helper()
	c := client(t, address)
	return func(args ...string) rueidis.RedisMessage {
		t.Helper()
		m, err := c.Do(t.Context(), c.B().Arbitrary(args...).Build()).ToMessage()
		if err != nil && !rueidis.IsRedisNil(err) {
			t.Fatalf("%v: %v", args, err)
		}
		return m
	}
}

// events are what a store has told.
type events struct {
	mu      sync.Mutex
	changed []cache.ID
	lost    []time.Time
}

func (e *events) hooks() cache.Events {
	return cache.Events{
		Changed: func(ids []cache.ID) { e.mu.Lock(); defer e.mu.Unlock(); e.changed = append(e.changed, ids...) },
		Lost:    func() { e.mu.Lock(); defer e.mu.Unlock(); e.lost = append(e.lost, time.Now()) },
	}
}

// lostSince returns when the first loss since a time was told; the zero time where none was.
func (e *events) lostSince(began time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.lost {
		if at.After(began) {
			return at
		}
	}
	return time.Time{}
}

func (e *events) has(id cache.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.changed, id)
}

// awaitLoss waits for a loss that is told in time: what is wanted is 100ms, which a busy machine may not keep.
func (e *events) awaitLoss(t testing.TB, began time.Time) {
	t.Helper()
	peertest.Eventually(t, "the loss is told", func() bool { return !e.lostSince(began).IsZero() })
	took := e.lostSince(began).Sub(began)
	t.Logf("told after %v", took)
	if took > 2*time.Second {
		t.Errorf("the loss is told after %v", took)
	}
}

var group, key = cache.ID{8: 1}, cache.ID{1: 1}

// load puts a value under a lease of its own.
func load(t testing.TB, s *Store, key cache.ID, value string, groups ...cache.ID) cache.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), key, groups, time.Minute)
	if err != nil || l.Token == 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	if kept, err := s.Put(t.Context(), key, l, []byte(value), time.Minute); err != nil || !kept {
		t.Fatalf("kept %v, %v", kept, err)
	}
	return l
}

func get(t testing.TB, s *Store, key cache.ID, groups ...cache.ID) cache.Stored {
	t.Helper()
	got, err := s.Get(t.Context(), key, groups)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// works waits until the store keeps values.
func works(t testing.TB, s *Store) {
	t.Helper()
	n := uint64(0)
	peertest.Eventually(t, "the store works", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		id := cache.ID{2: 2}
		n++
		copy(id[8:], text(n))
		l, err := s.Acquire(ctx, id, []cache.ID{group}, time.Minute)
		if err != nil || l.Token == 0 {
			return false
		}
		kept, err := s.Put(ctx, id, l, []byte("x"), time.Minute)
		return err == nil && kept
	})
}

// A connection that is cut, by whomever, is a loss at once, and another takes its place.
func TestConnectionKilled(t *testing.T) {
	r := peertest.StartRedis(t)
	do := admin(t, r.Address)
	var e events
	s := open(t, at(r.Address), e.hooks())
	load(t, s, key, "x")
	began := time.Now()
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	e.awaitLoss(t, began)
	works(t, s)
}

// A server that is killed is a loss at once.
func TestServerKilled(t *testing.T) {
	r := peertest.StartRedis(t)
	var e events
	s := open(t, at(r.Address), e.hooks())
	load(t, s, key, "x")
	began := time.Now()
	r.Kill()
	e.awaitLoss(t, began)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.Get(ctx, key, nil); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "redis "+r.Address+": ") {
		t.Errorf("%v", err)
	}
	r.Start()
	works(t, s)
}

// All is deleted: that is a loss.
func TestFlushed(t *testing.T) {
	r := peertest.StartRedis(t)
	var e events
	s := open(t, at(r.Address), e.hooks())
	l := load(t, s, key, "x", group)
	do := admin(t, r.Address)
	began := time.Now()
	do("FLUSHALL")
	e.awaitLoss(t, began)
	if got := get(t, s, key, group); got.Value != nil || got.Versions[0] != 0 {
		t.Errorf("%+v", got)
	}
	if again := load(t, s, key, "y", group); again.Versions[0] == l.Versions[0] {
		t.Error("a version comes back")
	}
}

// A server that is full drops what was not used for long, and tells so; a version that was dropped is another one then.
func TestEvicted(t *testing.T) {
	r := peertest.StartRedis(t, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
	var e events
	s, other := open(t, at(r.Address), e.hooks()), open(t, at(r.Address), cache.Events{})
	l := load(t, s, key, "x", group)
	value := strings.Repeat("y", 10_000)
	for n := uint64(1); !e.has(key) || !e.has(group); n++ {
		if n > 10_000 {
			t.Fatal("nothing is dropped")
		}
		id := cache.ID{}
		copy(id[8:], text(n))
		load(t, other, id, value)
	}
	if got := get(t, s, key, group); got.Value != nil || got.Versions[0] != 0 {
		t.Errorf("%+v", got)
	}
	if again := load(t, s, key, "y", group); again.Versions[0] == l.Versions[0] {
		t.Error("a version comes back")
	}
}

// What another program has put at a key is nothing, and goes when the key is written; at a lease it keeps the key from being loaded until it
// is deleted.
func TestWrongType(t *testing.T) {
	r := peertest.StartRedis(t)
	do := admin(t, r.Address)
	s := open(t, at(r.Address), cache.Events{})
	do("RPUSH", s.key(key), "a")
	do("RPUSH", s.version(group), "a")
	if got := get(t, s, key, group); got.Value != nil || got.Versions[0] != 0 {
		t.Errorf("%+v", got)
	}
	l := load(t, s, key, "x", group)
	if got := get(t, s, key, group); string(got.Value) != "x" || l.Versions[0] == 0 || got.Versions[0] != l.Versions[0] {
		t.Errorf("%+v, %+v", got, l)
	}
	do("SET", s.version(group), "much too long for a version")
	if got := get(t, s, key, group); got.Versions[0] != 0 {
		t.Errorf("%+v", got)
	}
	do("SET", s.version(group), text(0))
	if l, err := s.Acquire(t.Context(), cache.ID{9}, []cache.ID{group}, time.Minute); err == nil {
		t.Errorf("%+v", l)
	}
	if err := s.Invalidate(t.Context(), group); err != nil || get(t, s, key, group).Versions[0] == 0 {
		t.Errorf("%v", err)
	}
	load(t, s, cache.ID{9}, "the lease was ended", group)

	do("RPUSH", s.lease(key), "a")
	if l, err := s.Acquire(t.Context(), key, nil, time.Minute); err != nil || l.Token != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := s.Put(t.Context(), key, cache.Lease{Token: 1}, nil, time.Minute); err == nil {
		t.Error("no error")
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	load(t, s, key, "y")
}

// Nothing stays for ever, and a version that is asked for in its last days lives on as it is.
func TestLifetimes(t *testing.T) {
	r := peertest.StartRedis(t)
	do := admin(t, r.Address)
	s := open(t, at(r.Address), cache.Events{})
	limits := openLimits(t, r.Address)
	for range 3 {
		if _, err := limits.Take(t.Context(), someRule, perSecond(1), 2, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	l := load(t, s, key, "x", group)
	if err := errors.Join(s.Invalidate(t.Context(), cache.ID{7}), s.Delete(t.Context(), cache.ID{6})); err != nil {
		t.Fatal(err)
	}
	if lease, err := s.Acquire(t.Context(), key, nil, time.Minute); err != nil || s.Extend(t.Context(), key, lease, time.Hour) != nil {
		t.Fatal(err)
	}
	listed := do("KEYS", "*")
	keys, err := listed.AsStrSlice()
	if err != nil || len(keys) != 5 {
		t.Errorf("%v, %v", keys, err)
	}
	ttl := func(key string) time.Duration {
		m := do("PTTL", key)
		n, _ := m.AsInt64()
		return time.Duration(n) * time.Millisecond
	}
	for _, k := range keys {
		if d := ttl(k); d <= 0 || d > versionLife {
			t.Errorf("%s lives for %v", k, d)
		}
	}
	for _, left := range []string{"3600000", "-1"} {
		if do("PEXPIRE", s.version(group), left); left == "-1" {
			do("SET", s.version(group), text(l.Versions[0])) // without an end
		}
		if again := load(t, s, cache.ID{5}, "x", group); again.Versions[0] != l.Versions[0] || ttl(s.version(group)) < versionLife-time.Hour {
			t.Errorf("%v was %v, and lives for %v", again.Versions, l.Versions, ttl(s.version(group)))
		}
	}
}

// A value that is too long is not kept, and its lease has ended; one that another program has put there is cut.
func TestOversized(t *testing.T) {
	r := peertest.StartRedis(t)
	s := open(t, at(r.Address), cache.Events{})
	l, err := s.Acquire(t.Context(), key, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Put(t.Context(), key, l, make([]byte, maxValue+1), time.Minute); kept || err != nil {
		t.Errorf("kept %v, %v", kept, err)
	}
	admin(t, r.Address)("SETRANGE", s.key(key), fmt.Sprint(maxValue+10), "x")
	if n := len(get(t, s, key).Value); n != maxValue {
		t.Errorf("%d bytes", n)
	}
	load(t, s, key, "x")
}

// A server that is away at first: New does not mind, calls fail at once, and go well once it is there.
func TestAwayAtFirst(t *testing.T) {
	r := peertest.StartRedis(t)
	r.Kill()
	for name, set := range map[string]func(*Config){
		"one server": func(*Config) {},
		"cluster":    func(c *Config) { c.Cluster = true },
		"sentinel":   func(c *Config) { c.Sentinel.Master = "master" },
	} {
		c := at(r.Address)
		set(&c)
		s := open(t, c, cache.Events{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := s.Get(ctx, key, nil); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if name == "one server" {
			defer works(t, s)
		}
	}
	r.Start()
}

// Who accepts and says nothing, or something else than Redis says: calls end with their contexts, or fail.
func TestNotRedis(t *testing.T) {
	for name, says := range map[string]string{
		"nothing": "", "HTTP": "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "an error": "-ERR no\r\n", "null": "_\r\n", "zeros": "\x00\x00\x00\x00\r\n",
		"a greeting": "+OK POP3 ready\r\n", "more and more": strings.Repeat("+", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			defer all.Wait()
			defer l.Close()
			all.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					all.Go(func() {
						defer c.Close()
						_, _ = io.WriteString(c, strings.Repeat(says, 8))
						_, _ = io.Copy(io.Discard, c)
					})
				}
			})
			var told atomic.Bool
			s, err := New(at(l.Addr().String()), nil, cache.Events{Changed: func([]cache.ID) { told.Store(true) }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if got, err := s.Get(ctx, key, nil); err == nil || told.Load() {
				t.Errorf("%+v", got)
			}
		})
	}
}
