package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
	"github.com/thriftloom/thriftloom/rpc"
)

// full are blocks in which methods that change say what they make void.
func full() map[string]cache.Config {
	return with(map[string]func(*cache.Config){
		"getUser":   func(c *cache.Config) { c.TTL, c.Tags = time.Minute, []string{"user:{id}", "users"} },
		"search":    func(c *cache.Config) { c.TTL, c.Key = time.Minute, []string{"text"} },
		"listUsers": func(c *cache.Config) { c.TTL = time.Minute },
		"putUser": func(c *cache.Config) {
			c.Invalidates = []string{"getUser(user.id)", "listUsers()", "search(user.name)"}
		},
		"removeUser": func(c *cache.Config) {
			c.Invalidates = []string{"tag:user:{id}", "listUsers"}
		},
	})
}

// What a purge, or a call that invalidates, makes void is loaded anew on every gateway, and nothing else is.
func TestVoid(t *testing.T) {
	calls := func(t *testing.T) []*rpc.Call {
		return []*rpc.Call{
			getUser(t, 7), getUser(t, 8), made(t, "search", "", `{"text": "ada", "page": 1}`), made(t, "listUsers", "", `{}`),
			{Service: "Users", Name: "getUser", Method: users.Method("getUser"), Protocol: getUser(t, 7).Protocol, Body: getUser(t, 7).Body, Caller: rpc.Caller{Verified: true, Identities: []string{"user:ada"}}},
		}
	}
	for _, tt := range []struct {
		name string
		void func(t *testing.T, g *gateway) error
		want string // which of the calls are made anew
	}{
		{"nothing", func(*testing.T, *gateway) error { return nil }, ""},
		{"a call", func(t *testing.T, g *gateway) error {
			return g.state.PurgeCall(t.Context(), g.policy("getUser"), getUser(t, 7))
		}, "0 4"},
		{"a method", func(t *testing.T, g *gateway) error { return g.state.PurgeMethod(t.Context(), g.place, "getUser") }, "0 1 4"},
		{"a tag", func(t *testing.T, g *gateway) error { return g.state.PurgeTag(t.Context(), g.place, "user:8") }, "1"},
		{"a tag of all", func(t *testing.T, g *gateway) error { return g.state.PurgeTag(t.Context(), g.place, "users") }, "0 1 4"},
		{"the service", func(t *testing.T, g *gateway) error { return g.state.Purge(t.Context(), g.place) }, "0 1 2 3 4"},
		{"a write by keys", func(t *testing.T, g *gateway) error {
			_, _, err := g.do(made(t, "putUser", "", `{"user": {"id": 7, "name": "ada"}}`))
			return err
		}, "0 2 3 4"},
		{"a write by a tag and a method", func(t *testing.T, g *gateway) error {
			_, _, err := g.do(made(t, "removeUser", "", `{"id": 8}`))
			return err
		}, "1 3"},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", shared ", shared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					up := &upstream{t: t}
					at := cache.Place{Service: "Users", Timeout: time.Second, Authenticated: true}
					var memory *cachetest.Memory
					if shared {
						memory = &cachetest.Memory{Tracks: true}
					}
					all := []*gateway{openAt(t, up, memory, at, full())}
					if shared {
						all = append(all, openAt(t, up, memory, at, full()))
					}
					for _, c := range calls(t) {
						for _, g := range all {
							if _, _, err := g.do(c); err != nil {
								t.Fatal(err)
							}
						}
					}
					if err := tt.void(t, all[0]); err != nil {
						t.Fatal(err)
					}
					for n, g := range all {
						var anew []string
						for i, c := range calls(t) {
							before := up.made()
							_, how, err := g.do(c)
							if err != nil {
								t.Fatal(err)
							}
							if n == 0 && up.made() > before || n > 0 && how != rpc.CacheHit {
								anew = append(anew, fmt.Sprint(i))
							}
						}
						if got := strings.Join(anew, " "); got != tt.want {
							t.Errorf("gateway %d has made anew %q, not %q", n, got, tt.want)
						}
					}
				})
			})
		}
	}
}

// A call that has failed, and one that the server has refused by an exception, make nothing void; one of which nobody knows does.
func TestVoidOnlyByWhatHappened(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply *rpc.Reply
		err   *rpc.Error
		want  rpc.CacheResult
	}{
		{"a result", text(""), nil, rpc.CacheMiss},
		{"an exception", &rpc.Reply{Exception: 1, Body: []byte{0}}, nil, rpc.CacheHit},
		{"not sent", nil, down, rpc.CacheHit},
		{"the handler failed", nil, &rpc.Error{Code: rpc.Internal, Outcome: rpc.AppException, Reach: rpc.Answered}, rpc.CacheMiss},
		{"answered", nil, &rpc.Error{Code: rpc.UnknownMethod, Outcome: rpc.AppException, Reach: rpc.Answered}, rpc.CacheHit},
		{"unknown", nil, &rpc.Error{Code: rpc.DeadlineExceeded, Outcome: rpc.ReplyTimeout, Reach: rpc.Unknown}, rpc.CacheMiss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{t: t}
				g := open(t, up, nil, full())
				g.wants(getUser(t, 7), "1", rpc.CacheMiss)
				up.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
					if c.Name == "putUser" && tt.err != nil {
						return nil, tt.err
					} else if c.Name == "putUser" {
						return tt.reply, nil
					}
					return text("new"), nil
				}
				_, _ = g.handler.Handle(t.Context(), made(t, "putUser", "", `{"user": {"id": 7}}`))
				if _, how, err := g.do(getUser(t, 7)); how != tt.want || err != nil {
					t.Errorf("%q, %v", how, err)
				}
			})
		})
	}
}

// A call that comes after a purge does not get what a load brings that had begun before, nor is that kept.
func TestVoidWhileLoading(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{t: t, took: time.Second}
				var memory *cachetest.Memory
				if shared {
					memory = &cachetest.Memory{}
				}
				g := open(t, up, memory, full())
				go g.wants(getUser(t, 7), "1", rpc.CacheMiss)
				time.Sleep(time.Second / 2)
				if err := g.state.PurgeCall(t.Context(), g.policy("getUser"), getUser(t, 7)); err != nil {
					t.Fatal(err)
				}
				g.wants(getUser(t, 7), "2", rpc.CacheMiss)
				time.Sleep(2 * time.Second)
				how := rpc.CacheHit
				if shared { // what the store did not take in was made void here once more
					how = rpc.CacheStored
				}
				g.wants(getUser(t, 7), "2", how)
			})
		})
	}
}

// Once all is made void, since something may have been missed, nothing is answered with that was found out before, and no call waits for a load that
// had begun before; what a store keeps holds.
func TestVoidAll(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{t: t, took: time.Second}
				var memory *cachetest.Memory
				if shared {
					memory = &cachetest.Memory{Tracks: true}
				}
				g := open(t, up, memory, full())
				g.wants(getUser(t, 7), "1", rpc.CacheMiss)
				g.wants(getUser(t, 7), "1", rpc.CacheHit)
				g.state.VoidAll()
				if n := g.state.Usage().Entries; n != 0 {
					t.Errorf("%d entries are left", n)
				}
				if shared {
					g.wants(getUser(t, 7), "1", rpc.CacheStored)
					return
				}
				g.wants(getUser(t, 7), "2", rpc.CacheMiss)
				go g.wants(getUser(t, 8), "3", rpc.CacheMiss)
				time.Sleep(time.Second / 2)
				g.state.VoidAll()
				g.wants(getUser(t, 8), "4", rpc.CacheMiss)
				g.wants(getUser(t, 8), "4", rpc.CacheHit)
			})
		})
	}
}

// Of replies that are kept in this process nobody tells what changes, unless their store does.
func TestUntold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		memory *cachetest.Memory
		set    func(c *cache.Config)
		want   bool
	}{
		{"none is kept", nil, func(c *cache.Config) { c.TTL = 0 }, false},
		{"in this process alone", nil, func(*cache.Config) {}, true},
		{"in a store that tells", &cachetest.Memory{Tracks: true}, func(*cache.Config) {}, false},
		{"in a store that tells nothing", &cachetest.Memory{}, func(*cache.Config) {}, true},
		{"in that store alone", &cachetest.Memory{}, func(c *cache.Config) { c.NearTTL = 0 }, false},
		{"in this process, whatever that says", nil, func(c *cache.Config) { c.NearTTL = 0 }, true},
		{"beside a store that tells", &cachetest.Memory{Tracks: true}, func(c *cache.Config) { c.Store = "near" }, true},
	} {
		g := open(t, &upstream{t: t}, tt.memory, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) {
			c.TTL = time.Minute
			tt.set(c)
		}}))
		if got := g.state.Untold(g.policy("getUser")); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if g.state.Untold(cache.Policy{}) {
			t.Error("nothing is cached")
		}
	}
}

// An old reply that is made void while another one is loaded is not answered with where that fails.
func TestVoidWhileFailing(t *testing.T) {
	for _, void := range []bool{false, true} {
		t.Run(fmt.Sprint("void ", void), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{t: t}
				g := open(t, up, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) { c.TTL, c.StaleIfError = 10*time.Second, time.Hour }}))
				g.wants(getUser(t, 7), "1", rpc.CacheMiss)
				time.Sleep(time.Minute)
				up.took = time.Second
				up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, down }
				if void {
					time.AfterFunc(time.Second/2, func() { _ = g.state.PurgeMethod(t.Context(), g.place, "getUser") })
				}
				if _, how, err := g.do(getUser(t, 7)); (err != nil) != void {
					t.Errorf("%q, %v", how, err)
				}
			})
		})
	}
}

// What is made void while the store is away is told to it before it is believed again; until then the gateway that has done so does not ask it.
func TestVoidWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		memory := &cachetest.Memory{Before: func(context.Context, string) error {
			if away.Load() {
				return cachetest.ErrAway
			}
			return nil
		}}
		up := &upstream{t: t}
		a, b := open(t, up, memory, full()), open(t, up, memory, full())
		a.wants(getUser(t, 7), "1", rpc.CacheMiss)
		a.wants(getUser(t, 8), "2", rpc.CacheMiss)
		away.Store(true)
		if err := a.state.PurgeCall(t.Context(), a.policy("getUser"), getUser(t, 7)); !errors.Is(err, cachetest.ErrAway) {
			t.Errorf("the purge says %v", err)
		}
		away.Store(false)
		a.wants(getUser(t, 7), "3", rpc.CacheMiss) // it has not been told yet, and still has the old one
		b.wants(getUser(t, 8), "2", rpc.CacheStored)
		time.Sleep(2 * time.Second)
		b.wants(getUser(t, 7), "4", rpc.CacheMiss)
		a.wants(getUser(t, 7), "4", rpc.CacheStored)
		a.wants(getUser(t, 8), "2", rpc.CacheStored)
		if s := a.state.Stores()["redis"]; s != (cache.StoreState{}) {
			t.Errorf("%+v", s)
		}
	})
}

// While the store is away replies are kept in the process for a moment alone, since nobody tells what changes; it is told when that begins and ends.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		memory := &cachetest.Memory{Tracks: true, Before: func(context.Context, string) error {
			if away.Load() {
				return cachetest.ErrAway
			}
			return nil
		}}
		up := &upstream{t: t}
		g := open(t, up, memory, full())
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		away.Store(true)
		memory.Lose()
		g.wants(getUser(t, 7), "2", rpc.CacheMiss)
		g.wants(getUser(t, 7), "2", rpc.CacheHit)
		time.Sleep(time.Second)
		g.wants(getUser(t, 7), "3", rpc.CacheMiss)
		for i := range 5 {
			g.wants(getUser(t, 100+i), fmt.Sprint(4+i), rpc.CacheMiss)
		}
		away.Store(false)
		time.Sleep(2 * time.Second)
		g.wants(getUser(t, 7), "1", rpc.CacheStored) // as long as it lives
		if got := strings.Join(g.stores, "; "); got != "redis: the store is away; redis: <nil>" {
			t.Errorf("told: %s", got)
		}
	})
}

// A value in the store that is none, is cut, was written by a clock that goes before, or by another IDL, is replaced, and never answered with.
func TestBadValues(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return []byte{} }},
		{"somebody else's", func([]byte) []byte { return []byte("hello, this is quite another thing, and long enough for that") }},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }},
		{"cut short", func(b []byte) []byte { return b[:10] }},
		{"one bit is another", func(b []byte) []byte { b[len(b)-6] ^= 1; return b }},
		{"another form", func(b []byte) []byte { b[3]++; return b }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := &cachetest.Memory{Tracks: true}
				up := &upstream{t: t}
				g, other := open(t, up, memory, full()), open(t, up, memory, full())
				g.wants(getUser(t, 7), "1", rpc.CacheMiss)
				synctest.Wait() // the caller has its reply before the store has
				for id, b := range memory.Values() {
					memory.Set(id, tt.do(b))
				}
				g.wants(getUser(t, 7), "2", rpc.CacheMiss)
				other.wants(getUser(t, 7), "2", rpc.CacheStored)
			})
		})
	}
}

// A purge, and a look, say what a call has no place for; a look changes nothing.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := &cachetest.Memory{Tracks: true}
		up := &upstream{t: t}
		a, b := open(t, up, memory, full()), open(t, up, memory, full())
		look := func(g *gateway) (cache.Found, bool) {
			t.Helper()
			f, ok, err := g.state.Look(t.Context(), g.policy("getUser"), getUser(t, 7))
			if err != nil {
				t.Fatal(err)
			}
			return f, ok
		}
		if f, ok := look(a); ok {
			t.Errorf("%+v", f)
		}
		a.wants(getUser(t, 7), "1", rpc.CacheMiss)
		time.Sleep(time.Second)
		for g, where := range map[*gateway]string{a: "near", b: "redis"} {
			if f, ok := look(g); !ok || f.Where != where || f.Age != time.Second || textOf(t, f.Entry.Reply) != "1" || f.Left < 52*time.Second || f.Left > 59*time.Second {
				t.Errorf("%+v, %v", f, ok)
			}
		}
		nan := getUser(t, 7)
		nan.Body = nil
		if err := a.state.PurgeCall(t.Context(), a.policy("getUser"), nan); err == nil || !strings.Contains(err.Error(), "arguments") {
			t.Errorf("%v", err)
		}
		if c := a.state.Counts()[rpc.MethodKey{Service: "Users", Method: "getUser"}]; c.Loads != 1 || c.Results[rpc.CacheMiss] != 1 || c.Entries != 1 {
			t.Errorf("%+v", c)
		}
	})
}
