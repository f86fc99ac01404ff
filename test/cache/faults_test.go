package cache

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// CA-9, with a real Redis and a real memcached: whatever becomes of the store no caller has an error for it, nearly all calls are answered as
// promptly as ever, and when the store is back it is asked again.
func TestStoreFaults(t *testing.T) {
	stores := []struct {
		name  string
		start func(testing.TB, ...string) *peertest.StoreServer
		block string
	}{
		{"redis", peertest.StartRedis, `redis: %q`},
		{"memcached", peertest.StartMemcached, `memcached: [%q]`},
	}
	faults := []struct {
		name string
		do   func(t *testing.T, s *peertest.StoreServer, p *pipe, step int) (more bool) // the step-th change; false: it was the last
	}{
		{name: "down", do: func(_ *testing.T, s *peertest.StoreServer, _ *pipe, step int) bool {
			if step == 0 {
				s.Kill()
				return true
			}
			s.Start()
			return false
		}},
		{name: "slow", do: func(_ *testing.T, _ *peertest.StoreServer, p *pipe, step int) bool {
			p.set([]time.Duration{time.Second, 0}[step], false)
			return step == 0
		}},
		{name: "flap", do: func(_ *testing.T, _ *peertest.StoreServer, p *pipe, step int) bool {
			p.set(0, step%2 == 0)
			return step < 5
		}},
		{name: "hangs", do: func(_ *testing.T, _ *peertest.StoreServer, p *pipe, step int) bool {
			p.set([]time.Duration{time.Hour, 0}[step], false)
			if step == 1 {
				p.cutNow()
			}
			return step == 0
		}},
		{name: "connection lost", do: func(_ *testing.T, _ *peertest.StoreServer, p *pipe, _ int) bool {
			p.cutNow()
			return false
		}},
	}
	for _, store := range stores {
		for _, fault := range faults {
			t.Run(store.name+" "+fault.name, func(t *testing.T) {
				server := store.start(t)
				p := newPipe(t, server.Address)
				f := start(t, 2, fmt.Sprintf("patience: 50ms, "+store.block, p.Address), cached("ttl: 200ms"))
				f.server.takes = time.Millisecond
				stop := make(chan struct{})
				go func() {
					defer close(stop)
					time.Sleep(500 * time.Millisecond)
					for step := 0; ; step++ {
						more := fault.do(t, server, p, step)
						time.Sleep(700 * time.Millisecond)
						if !more {
							return
						}
					}
				}()
				took := f.play(40, stop)
				slices.Sort(took)
				if n := len(took); n < 200 || took[n*95/100] > 500*time.Millisecond {
					t.Errorf("of %d calls one in twenty took more than %v", n, took[n*95/100])
				}
				peertest.Eventually(t, "the store is asked again", func() bool { return f.up(0) && f.up(1) })
				f.sharedAgain()
			})
		}
	}
}

// sharedAgain fails unless one gateway is answered with what the other has loaded.
func (f *fleet) sharedAgain() {
	f.Helper()
	id := int64(1_000_000)
	peertest.Eventually(f, "gateways share replies", func() bool {
		id++
		before := f.server.loads.Load()
		f.wants(0, id, fmt.Sprint("user ", id))
		f.wants(1, id, fmt.Sprint("user ", id))
		return f.server.loads.Load() == before+1
	})
}

// redisCLI has a program of Redis's own say something to the server.
func redisCLI(t *testing.T, s *peertest.StoreServer, args ...string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Address)
	out, err := exec.Command(peertest.RedisCLI(t), append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// kept returns the keys of replies.
func kept(t *testing.T, s *peertest.StoreServer) (keys []string) {
	t.Helper()
	for key := range strings.FieldsSeq(redisCLI(t, s, "--raw", "keys", "thriftloom:*")) {
		if strings.HasSuffix(key, "}") {
			keys = append(keys, key)
		}
	}
	return keys
}

// What another program does to the values in Redis reaches no caller: they are void, and replaced.
func TestStoreSpoiled(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, s *peertest.StoreServer, key string)
	}{
		{"wrong type", func(t *testing.T, s *peertest.StoreServer, key string) {
			redisCLI(t, s, "del", key)
			redisCLI(t, s, "rpush", key, "a", "b")
		}},
		{"truncated value", func(t *testing.T, s *peertest.StoreServer, key string) {
			redisCLI(t, s, "eval", "local v = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[1], string.sub(v, 1, #v - 3), 'KEEPTTL')", "1", key)
		}},
		{"another's value", func(t *testing.T, s *peertest.StoreServer, key string) {
			redisCLI(t, s, "set", key, strings.Repeat("x", 100))
		}},
		{"evicted", func(t *testing.T, s *peertest.StoreServer, key string) { redisCLI(t, s, "del", key) }},
		{"all evicted", func(t *testing.T, s *peertest.StoreServer, _ string) { redisCLI(t, s, "flushall") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := peertest.StartRedis(t)
			f := start(t, 2, fmt.Sprintf("patience: 5s, redis: %q", s.Address), cached("ttl: 1h"))
			f.wants(0, 7, "user 7")
			f.wants(1, 7, "user 7")
			keys := []string(nil)
			peertest.Eventually(t, "the reply is in Redis", func() bool { keys = kept(t, s); return len(keys) == 1 })
			tt.do(t, s, keys[0])
			peertest.Eventually(t, "it is loaded anew, by one gateway for both", func() bool {
				f.wants(0, 7, "user 7")
				f.wants(1, 7, "user 7")
				return f.server.loads.Load() == 2
			})
			for range 20 {
				f.wants(0, 7, "user 7")
				f.wants(1, 7, "user 7")
			}
			if n := f.server.loads.Load(); n != 2 || !f.up(0) || !f.up(1) {
				t.Errorf("%d loads, up %v %v", n, f.up(0), f.up(1))
			}
		})
	}
}

// A store that has to drop values for want of room, all the time, gives nobody a wrong one or an error.
func TestStoreEvicts(t *testing.T) {
	for name, s := range map[string]func() string{
		"redis": func() string {
			return fmt.Sprintf("redis: %q", peertest.StartRedis(t, "--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru").Address)
		},
		"memcached": func() string {
			return fmt.Sprintf("memcached: %q", peertest.StartMemcached(t, "-m", "2").Address)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, 2, "patience: 5s, "+s(), cached("ttl: 1h, near_ttl: 0s"))
			for n := range int64(10_000) {
				id := n * 7919 % 9000
				f.wants(int(n%2), id, fmt.Sprint("user ", id))
			}
			if n := f.server.loads.Load(); n <= 9000 || !f.up(0) || !f.up(1) {
				t.Errorf("%d loads of 9000 users: more are wanted, since some were dropped; up %v %v", n, f.up(0), f.up(1))
			}
		})
	}
}

// The tracking connection is lost while the server stays: what had changed meanwhile is known at once when the connection is back, since
// nothing of before is believed.
func TestTrackingLost(t *testing.T) {
	s := peertest.StartRedis(t)
	p := newPipe(t, s.Address)
	// One gateway is behind the pipe, the other is not.
	f := start(t, 1, fmt.Sprintf("patience: 5s, redis: %q", p.Address), cached("ttl: 1h"))
	f.wants(0, 7, "user 7")
	f.wants(0, 7, "user 7")
	if n := f.server.loads.Load(); n != 1 {
		t.Fatalf("%d loads", n)
	}
	p.set(0, true)
	if err := f.server.PutUser(t.Context(), &User{7, "grace"}); err != nil {
		t.Fatal(err)
	}
	for _, key := range kept(t, s) {
		redisCLI(t, s, "del", key) // as a gateway does that the other cannot hear
	}
	peertest.Eventually(t, "it is found out that changes may have been missed", func() bool {
		name, err := f.callers[0].GetUser(t.Context(), 7)
		return err == nil && name == "grace"
	})
	p.set(0, false)
	peertest.Eventually(t, "the store is asked again", func() bool { return f.up(0) })
	f.wants(0, 7, "grace")
}
