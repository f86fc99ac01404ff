package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// A reply is answered with for its TTL, to equal calls and to no others.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{t: t}
		g := open(t, up, nil, ttl(10*time.Second))
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		g.wants(getUser(t, 7), "1", rpc.CacheHit)
		g.wants(getUser(t, 8), "2", rpc.CacheMiss)
		time.Sleep(9*time.Second - time.Millisecond) // a tenth less at most
		g.wants(getUser(t, 7), "1", rpc.CacheHit)
		time.Sleep(time.Second + 2*time.Millisecond)
		g.wants(getUser(t, 7), "3", rpc.CacheMiss)
	})
}

// What one gateway has loaded another one answers with, and keeps it too.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, memory := &upstream{t: t}, &cachetest.Memory{Tracks: true}
		a, b := open(t, up, memory, ttl(10*time.Second)), open(t, up, memory, ttl(10*time.Second))
		a.wants(getUser(t, 7), "1", rpc.CacheMiss)
		b.wants(getUser(t, 7), "1", rpc.CacheStored)
		b.wants(getUser(t, 7), "1", rpc.CacheHit)
		time.Sleep(10 * time.Second)
		b.wants(getUser(t, 7), "2", rpc.CacheMiss)
		a.wants(getUser(t, 7), "2", rpc.CacheStored)
	})
}

// Calls are equal whatever their protocol, their sequence id and how the caller writes the name.
func TestEqualCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t, &upstream{t: t}, nil, ttl(time.Minute))
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		other := madeIn(t, wire.Compact, "getUser", "somebody", `{"id": 7}`)
		other.Name, other.Headers = "users:getUser", []transport.KV{{Key: "x-trace", Value: "1"}}
		g.wants(other, "1", rpc.CacheHit)
	})
}

// The key is what the block names: other arguments do not tell calls apart.
func TestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t, &upstream{t: t}, nil, with(map[string]func(*cache.Config){
			"search": func(c *cache.Config) { c.TTL, c.Key = time.Minute, []string{"text", "page"} },
		}))
		g.wants(made(t, "search", "", `{"text": "a", "page": 1, "weight": 1}`), "1", rpc.CacheMiss)
		g.wants(made(t, "search", "", `{"text": "a", "page": 1, "weight": 2}`), "1", rpc.CacheHit)
		g.wants(made(t, "search", "", `{"text": "a", "page": 2, "weight": 2}`), "2", rpc.CacheMiss)
		g.wants(made(t, "search", "", `{"text": "a", "weight": 2}`), "3", rpc.CacheMiss)
	})
}

// A caller's own reply is answered to that caller alone; headers that are named tell calls apart.
func TestScope(t *testing.T) {
	verified := func(c *rpc.Call, ids ...string) *rpc.Call {
		c.Caller.Verified, c.Caller.Identities = true, ids
		return c
	}
	header := func(c *rpc.Call, v string) *rpc.Call {
		c.Headers = append(c.Headers, transport.KV{Key: "X-Locale", Value: v})
		return c
	}
	for _, tt := range []struct {
		name string
		set  func(c *cache.Config)
		want []rpc.CacheResult // of the calls below, in their order
	}{
		{"by default", func(*cache.Config) {}, []rpc.CacheResult{rpc.CacheMiss, rpc.CacheHit, rpc.CacheMiss, rpc.CacheMiss, rpc.CacheHit, rpc.CacheBypass, rpc.CacheHit}},
		{"caller", func(c *cache.Config) { c.Scope = "caller" }, []rpc.CacheResult{rpc.CacheMiss, rpc.CacheMiss, rpc.CacheMiss, rpc.CacheMiss, rpc.CacheHit, rpc.CacheBypass, rpc.CacheBypass}},
		{"shared", func(c *cache.Config) { c.Scope = "shared" }, []rpc.CacheResult{rpc.CacheMiss, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit}},
		{"vary", func(c *cache.Config) { c.Scope, c.Vary = "shared", []string{"x-locale"} }, []rpc.CacheResult{rpc.CacheMiss, rpc.CacheMiss, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit, rpc.CacheHit}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := open(t, &upstream{t: t}, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) { c.TTL = time.Minute; tt.set(c) }}))
				var got []rpc.CacheResult
				for _, c := range []*rpc.Call{
					header(made(t, "getUser", "web", `{"id": 7}`), "de"), // they only say who they are
					made(t, "getUser", "jobs", `{"id": 7}`),
					verified(made(t, "getUser", "web", `{"id": 7}`), "spiffe://acme/web"),
					verified(made(t, "getUser", "web", `{"id": 7}`), "spiffe://acme/web", "user:ada"), // the same machine for another user
					verified(made(t, "getUser", "other", `{"id": 7}`), "spiffe://acme/web"),
					verified(made(t, "getUser", "web", `{"id": 7}`)), // a certificate that names nobody
					made(t, "getUser", "", `{"id": 7}`),
				} {
					_, how, err := g.do(c)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, how)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%v, wanted %v", got, tt.want)
				}
			})
		})
	}
}

// After its time a reply is answered with while another is loaded, once, and for no longer than the block says.
func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{t: t, took: 100 * time.Millisecond}
		g := open(t, up, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) {
			c.TTL, c.StaleWhileRevalidate, c.RefreshAhead = 10*time.Second, 5*time.Second, false
		}}))
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		time.Sleep(11 * time.Second)
		for range 10 {
			g.wants(getUser(t, 7), "1", rpc.CacheStale)
		}
		time.Sleep(time.Second)
		g.wants(getUser(t, 7), "2", rpc.CacheHit)
		time.Sleep(16 * time.Second)
		g.wants(getUser(t, 7), "3", rpc.CacheMiss)
	})
}

// A load that fails ahead of time or behind it is tried again after a second, and not by every call.
func TestRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{t: t}
		g := open(t, up, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) {
			c.TTL, c.StaleWhileRevalidate, c.RefreshAhead = 10*time.Second, time.Minute, false
		}}))
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, down }
		time.Sleep(11 * time.Second)
		for range 5000 {
			g.wants(getUser(t, 7), "1", rpc.CacheStale)
			time.Sleep(time.Millisecond)
		}
		if n := up.made(); n < 5 || n > 7 {
			t.Errorf("%d calls, five seconds of failures", n)
		}
	})
}

var down = &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent, Op: "upstream", Outcome: rpc.Refused}

// Where a call fails without an answer the last reply is one, as long as the block says; an answer of the server stands.
func TestStaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{t: t}
		g := open(t, up, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) { c.TTL, c.StaleIfError = 10*time.Second, time.Minute }}))
		g.wants(getUser(t, 7), "1", rpc.CacheMiss)
		time.Sleep(11 * time.Second)
		for _, e := range []*rpc.Error{
			down, {Code: rpc.DeadlineExceeded, Outcome: rpc.ReplyTimeout, Reach: rpc.Unknown}, {Code: rpc.Internal, Outcome: rpc.AppException, Reach: rpc.Answered},
		} {
			up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, e }
			g.wants(getUser(t, 7), "1", rpc.CacheOnError)
		}
		up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return nil, &rpc.Error{Code: rpc.UnknownMethod, Outcome: rpc.AppException, Reach: rpc.Answered}
		}
		if _, _, err := g.do(getUser(t, 7)); err == nil {
			t.Error("an answer of the server is hidden")
		}
		up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, down }
		time.Sleep(time.Minute)
		if _, _, err := g.do(getUser(t, 7)); !errors.Is(err, down) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// An exception that is named is kept as long as it says.
func TestExceptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{t: t}
		up.answer = func(context.Context, *rpc.Call) (*rpc.Reply, error) { return thrown("missing"), nil }
		g := open(t, up, nil, with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) {
			c.TTL, c.Exceptions = time.Minute, map[string]time.Duration{"NotFound": 2 * time.Second}
		}}))
		g.wants(getUser(t, 7), "an exception", rpc.CacheMiss)
		reply, err := g.handler.Handle(t.Context(), getUser(t, 7))
		if err != nil || reply.Exception != 1 || up.made() != 1 {
			t.Errorf("%+v, %v after %d calls", reply, err, up.made())
		}
		time.Sleep(2 * time.Second)
		up.answer = nil
		g.wants(getUser(t, 7), "2", rpc.CacheMiss)
	})
}

// CA-12: what is never answered from the cache, nor kept. Each call is made twice, and the upstream has both.
func TestCA12NeverCached(t *testing.T) {
	fails := func(e *rpc.Error) func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, e }
	}
	unknown := func(c *rpc.Call) *rpc.Call {
		c.Body = append([]byte{8, 0, 99, 0, 0, 0, 1}, c.Body...) // a field 99 that the IDL does not have
		return c
	}
	header := func(c *rpc.Call, key, value string) *rpc.Call {
		c.Headers = []transport.KV{{Key: key, Value: value}}
		return c
	}
	for _, tt := range []struct {
		name   string
		call   func(t *testing.T) *rpc.Call
		set    func(c *cache.Config)
		answer func(context.Context, *rpc.Call) (*rpc.Reply, error)
	}{
		{name: "a oneway", call: func(t *testing.T) *rpc.Call { return made(t, "track", "", `{"id": 7}`) }},
		{name: "a method that says nothing", call: func(t *testing.T) *rpc.Call { return made(t, "listUsers", "", `{}`) }},
		{name: "a method that the IDL does not have", call: func(t *testing.T) *rpc.Call {
			c := getUser(t, 7)
			c.Method, c.Name = nil, "other"
			return c
		}},
		{name: "a caller who is not known", set: func(c *cache.Config) { c.Scope = "caller" }},
		{name: "a TApplicationException", answer: fails(&rpc.Error{Code: rpc.Internal, Outcome: rpc.AppException, Reach: rpc.Answered})},
		{name: "an undeclared failure", answer: fails(&rpc.Error{Code: rpc.HandlerFailed, Outcome: rpc.ClosedNoReply, Reach: rpc.Unknown})},
		{name: "a timeout", answer: fails(&rpc.Error{Code: rpc.DeadlineExceeded, Outcome: rpc.ReplyTimeout, Reach: rpc.Unknown})},
		{name: "a reply whose reading failed", answer: fails(&rpc.Error{Code: rpc.Unavailable, Outcome: rpc.BadReply, Reach: rpc.Unknown})},
		{name: "a declared exception that is not named", answer: func(context.Context, *rpc.Call) (*rpc.Reply, error) { return thrown("broken"), nil }},
		{name: "a reply that is too long", set: func(c *cache.Config) { c.MaxReplyBytes = 100 }, answer: func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return text(strings.Repeat("x", 200)), nil
		}},
		{name: "arguments that are too long", call: func(t *testing.T) *rpc.Call {
			return made(t, "search", "", fmt.Sprintf(`{"text": %q}`, strings.Repeat("x", cache.MaxArguments)))
		}},
		{name: "not a number", call: func(t *testing.T) *rpc.Call {
			c := made(t, "search", "", `{"weight": 1.5}`)
			nan := math.Float64bits(math.NaN())
			for i := range 8 {
				c.Body[3+i] = byte(nan >> (56 - 8*i))
			}
			return c
		}},
		{name: "a field that the IDL does not have", call: func(t *testing.T) *rpc.Call { return unknown(getUser(t, 7)) }},
		{name: "a body that cannot be read", call: func(t *testing.T) *rpc.Call {
			c := getUser(t, 7)
			c.Body = c.Body[:4]
			return c
		}},
		{name: "a header that says so", call: func(t *testing.T) *rpc.Call { return header(getUser(t, 7), "Cache-Control", "no-cache") }},
		{name: "… or so", call: func(t *testing.T) *rpc.Call { return header(getUser(t, 7), "cache-control", "max-age=0, no-store") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up, memory := &upstream{t: t, answer: tt.answer}, &cachetest.Memory{Tracks: true}
				cached := func(c *cache.Config) {
					c.TTL = time.Minute
					if tt.set != nil {
						tt.set(c)
					}
				}
				g := open(t, up, memory, with(map[string]func(*cache.Config){"getUser": cached, "search": cached}))
				for range 2 {
					call := getUser(t, 7)
					if tt.call != nil {
						call = tt.call(t)
					}
					_, _ = g.handler.Handle(t.Context(), call)
				}
				synctest.Wait()
				if n, kept := up.made(), len(memory.Values())+g.near.Usage().Entries; n != 2 || kept > 0 {
					t.Errorf("%d calls of two are made, %d replies kept", n, kept)
				}
			})
		})
	}
}
