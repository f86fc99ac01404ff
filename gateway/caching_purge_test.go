package gateway_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/store/redis"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

const cachedIDL = `
exception NotFound { 1: i64 id }
service Users {
	string getUser(1: i64 id) throws (1: NotFound missing)
	void touch(1: i64 id)
	string ping()
}`

// userID is the arguments of getUser, and what a NotFound carries.
func userID(id int64) []byte {
	return binary.AppendStop(binary.AppendI64(binary.AppendField(nil, wire.I64, 1), id))
}

// users answers with the user of that number; there are no users from 400 on, and touch has no result.
func users(m transport.Message) fakepeer.Answer {
	r := binary.Reader{Buf: m.Body}
	if t, _, err := r.Field(); err != nil || t != wire.I64 || m.Head.Name == "touch" {
		return fakepeer.Answer{}
	}
	id, _ := r.I64()
	if id >= 400 {
		return fakepeer.Answer{Body: binary.AppendStop(append(binary.AppendField(nil, wire.Struct, 1), userID(id)...))}
	}
	return fakepeer.Answer{Body: binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 0), fmt.Sprint("user ", id)))}
}

// keeping is a gateway that keeps the replies of Users, by a cache block of getUser, on a listener.
func keeping(t *testing.T, listen, block string) (*running, *fakepeer.Peer) {
	t.Helper()
	return keepingIn(t, "", listen, block)
}

// keepingIn is keeping with stores.
func keepingIn(t *testing.T, stores, listen, block string) (*running, *fakepeer.Peer) {
	t.Helper()
	address, p, _ := peer(t, users)
	r := prepare(t)
	r.opts.Stores.Redis = redis.Open
	r.write("users.thrift", cachedIDL)
	r.write("users.txt", "alice:pwd\nbob:pwd\n")
	r.write("thriftloom.yaml", fmt.Sprintf(`
stores: {%s}
listen: %s
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: [%q]}
    methods:
      getUser: {cache: %s}
      touch: {cache: {ttl: 10m}}
`, stores, listen, address, block))
	r.begin()
	return r, p
}

// kept returns what is kept of getUser's reply: its value, "" for nothing, or the error.
func (r *running) kept(id int64, caller ...string) string {
	r.t.Helper()
	reply, ok, err := r.CachedReply(r.t.Context(), status.CachedCall{Service: "Users", Method: "getUser", Arguments: fmt.Appendf(nil, `{"id": %d}`, id), Caller: caller})
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return ""
	}
	return reply.Exception + string(reply.Value)
}

// purge makes void what is named of Users, which has to be called by want.
func (r *running) purge(what status.Purge, want string) {
	r.t.Helper()
	what.Service = "Users"
	done, err := r.PurgeCache(r.t.Context(), what)
	if err != nil || !reflect.DeepEqual(done, status.Purged{Purged: want, Service: "Users", Method: what.Method, Untold: []string{}}) {
		r.t.Errorf("%+v: %+v, %v", what, done, err)
	}
}

// A purge makes void what it names and nothing else: a call, however its arguments are written, or a tag; arguments that are wrong make nothing void.
func TestPurgeOfCallAndTag(t *testing.T) {
	r, p := keeping(t, `"127.0.0.1:0"`, `{ttl: 10m, tags: ["user:{id}"]}`)
	c := dial(t, r.Addresses()[0])
	load := func(want int64) {
		t.Helper()
		before := p.Calls.Load()
		for id := range int64(3) {
			if got := c.callWith("getUser", userID(id)); got != fmt.Sprint("user ", id) {
				t.Errorf("user %d: %q", id, got)
			}
		}
		if n := p.Calls.Load() - before; n != want {
			t.Errorf("%d calls have reached the server, want %d", n, want)
		}
	}
	load(3)
	load(0)
	r.purge(status.Purge{Method: "getUser", Arguments: []byte(` { "id" : 1 } `)}, "call")
	if a, b, c := r.kept(0), r.kept(1), r.kept(2); a != `"user 0"` || b != "" || c != `"user 2"` {
		t.Errorf("kept after a purge of the second: %q, %q, %q", a, b, c)
	}
	load(1)
	r.purge(status.Purge{Tag: "user:2"}, "tag")
	if a, b, c := r.kept(0), r.kept(1), r.kept(2); a != `"user 0"` || b != `"user 1"` || c != "" {
		t.Errorf("kept after a purge of the third's tag: %q, %q, %q", a, b, c)
	}
	load(1)
	r.purge(status.Purge{Tag: "user:{id}"}, "tag")
	load(0)
	for _, args := range []string{``, `{`, `null`, `[]`, `{"id": "1"}`, `{"idd": 1}`, `{"id": 1, "id": 1}`, `{"id": 9223372036854775808}`, `{"id": 1} {}`} {
		what := status.Purge{Service: "Users", Method: "getUser", Arguments: []byte(args)}
		if done, err := r.PurgeCache(t.Context(), what); !errors.Is(err, status.ErrArguments) || done.Purged != "" {
			t.Errorf("%s: %+v, %v", args, done, err)
		}
		_, ok, err := r.CachedReply(t.Context(), status.CachedCall{Service: "Users", Method: "getUser", Arguments: what.Arguments})
		if ok || !errors.Is(err, status.ErrArguments) {
			t.Errorf("%s: %v, %v", args, ok, err)
		}
	}
	for _, what := range []status.Purge{
		{Service: "Users", Method: "getUser", Tag: "user:1"}, {Service: "Users", Arguments: []byte("{}")}, {Service: "Users", Tag: "user:1", Arguments: []byte("{}")},
		{Tag: "user:1"},
	} {
		if done, err := r.PurgeCache(t.Context(), what); err == nil {
			t.Errorf("%+v: %+v", what, done)
		}
	}
	load(0)
}

// What is kept is shown as it is: a declared exception by its name, and nothing for void; to look at it is no call and no hit.
func TestCachedReplyIsShown(t *testing.T) {
	r, p := keeping(t, `"127.0.0.1:0"`, `{ttl: 10m, exceptions: {NotFound: 5m}}`)
	c := dial(t, r.Addresses()[0])
	c.callWith("getUser", userID(404))
	c.callWith("touch", userID(1))
	if got := r.kept(404); got != `NotFound{"id":404}` {
		t.Errorf("kept of a user who is not there: %q", got)
	}
	reply, ok, err := r.CachedReply(t.Context(), status.CachedCall{Service: "Users", Method: "touch", Arguments: []byte(`{"id": 1}`)})
	if err != nil || !ok || reply.Value != nil || reply.Bytes != 1 || reply.AgeSeconds < 0 || reply.FreshSeconds < 500 || reply.FreshSeconds > 600 {
		t.Errorf("%+v, %v, %v", reply, ok, err)
	}
	if n := p.Calls.Load(); n != 2 {
		t.Errorf("%d calls have reached the server", n)
	}
	all := r.CacheReport()
	if len(all.Methods) != 2 || all.Entries != 2 || all.MaxBytes != 64<<20 || len(all.Stores) != 0 {
		t.Fatalf("%+v", all)
	}
	for i, name := range []string{"getUser", "touch"} {
		if m := all.Methods[i]; m.Service != "Users" || m.Method != name || len(m.Calls) != 1 || m.Calls["miss"] != 1 {
			t.Errorf("%+v", m)
		}
	}
	for _, tt := range []struct {
		of   status.CachedCall
		want error
	}{
		{status.CachedCall{Service: "Nobody", Method: "getUser"}, status.ErrUnknownService},
		{status.CachedCall{Service: "Users", Method: "nothing"}, status.ErrUnknownMethod},
		{status.CachedCall{Service: "Users", Method: "ping"}, status.ErrNotCached},
	} {
		if _, ok, err := r.CachedReply(t.Context(), tt.of); ok || !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, %v", tt.of, ok, err)
		}
	}
}

// Where callers are verified each has replies of its own: a look has to name whose, and a purge of the call makes those of all of them void.
func TestCachedReplyOfCallers(t *testing.T) {
	r, p := keeping(t, `{address: "127.0.0.1:0", sasl: {users_file: users.txt}}`, `{ttl: 10m}`)
	for _, user := range []string{"alice", "bob"} {
		c := dial(t, r.Addresses()[0])
		in, err := netio.LogIn(t.Context(), c.Conn, netio.Credentials{User: user, Password: "pwd"})
		if err != nil {
			t.Fatal(err)
		}
		c.Conn = in
		c.callWith("getUser", userID(7))
	}
	if n := p.Calls.Load(); n != 2 {
		t.Errorf("%d calls have reached the server", n)
	}
	check := func(want string) {
		t.Helper()
		for caller, want := range map[string]string{"user:alice": want, "user:bob": want, "user:carol": "", "alice": ""} {
			if got := r.kept(7, caller); got != want {
				t.Errorf("kept for %s: %q, want %q", caller, got, want)
			}
		}
		if got := r.kept(7) + r.kept(7, "user:alice", "user:bob"); got != "" {
			t.Errorf("kept for nobody, and for both in one: %q", got)
		}
	}
	check(`"user 7"`)
	r.purge(status.Purge{Method: "getUser", Arguments: []byte(`{"id": 8}`)}, "call")
	check(`"user 7"`)
	r.purge(status.Purge{Method: "getUser", Arguments: []byte(`{"id": 7}`)}, "call")
	check("")
}

// Headers that tell calls apart tell replies apart, and a call that is never answered from the cache has none.
func TestCachedReplyByHeader(t *testing.T) {
	r, _ := keeping(t, `"127.0.0.1:0"`, `{ttl: 10m, vary: [x-locale]}`)
	dial(t, r.Addresses()[0]).callWith("getUser", userID(7))
	for _, tt := range []struct {
		name, value string
		kept        bool
		err         error
	}{
		{"x-other", "de", true, nil}, {"x-locale", "de", false, nil}, {"cache-control", "no-cache", false, cache.ErrUnnamed},
	} {
		_, ok, err := r.CachedReply(t.Context(), status.CachedCall{
			Service: "Users", Method: "getUser", Arguments: []byte(`{"id": 7}`), Headers: map[string]string{tt.name: tt.value},
		})
		if ok != tt.kept || !errors.Is(err, tt.err) || errors.Is(err, status.ErrStore) {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
	}
	r, _ = keeping(t, `"127.0.0.1:0"`, `{ttl: 10m, scope: caller}`)
	if got := r.kept(7); !strings.Contains(got, cache.ErrUnnamed.Error()) {
		t.Errorf("replies are each caller's own, and nobody is named: %q", got)
	}
}

// With Redis as the store a look finds what this gateway has not asked for, a purge holds in Redis too, and one while Redis is away names it: it holds
// here at once, and there as soon as Redis is back.
func TestPurgeInRedis(t *testing.T) {
	server := peertest.StartRedis(t)
	const listen, block = `"127.0.0.1:0"`, `{ttl: 10m, near_ttl: 0s, tags: ["user:{id}"], exceptions: {NotFound: 5m}}`
	stores := "patience: 2s, redis: \"" + server.Address + "\""
	loads, _ := keepingIn(t, stores, listen, block)
	r, p := keepingIn(t, stores, listen, block)
	c := dial(t, loads.Addresses()[0])
	load := func() {
		t.Helper()
		for _, id := range []int64{1, 2, 404} {
			c.callWith("getUser", userID(id))
		}
		eventually(t, "the replies are in Redis", func() bool {
			return r.kept(1) == `"user 1"` && r.kept(2) == `"user 2"` && r.kept(404) == `NotFound{"id":404}`
		})
	}
	load()
	reply, _, err := r.CachedReply(t.Context(), status.CachedCall{Service: "Users", Method: "getUser", Arguments: []byte(`{"id": 1}`)})
	if err != nil || reply.Where != "redis" || reply.FreshSeconds < 500 {
		t.Errorf("%+v, %v", reply, err)
	}
	r.purge(status.Purge{Method: "getUser", Arguments: []byte(`{"id": 1}`)}, "call")
	if a, b := r.kept(1), r.kept(2); a != "" || b != `"user 2"` {
		t.Errorf("kept after a purge of the first: %q, %q", a, b)
	}
	r.purge(status.Purge{Tag: "user:2"}, "tag")
	if a, b := r.kept(2), r.kept(404); a != "" || b != `NotFound{"id":404}` {
		t.Errorf("kept after a purge of the second's tag: %q, %q", a, b)
	}
	load()
	r.purge(status.Purge{Method: "getUser"}, "method")
	if a, b := r.kept(1), r.kept(404); a+b != "" {
		t.Errorf("kept after a purge of the method: %q, %q", a, b)
	}
	if n := p.Calls.Load(); n != 0 {
		t.Errorf("looks and purges have made %d calls", n)
	}
	server.Kill()
	for _, what := range []status.Purge{{}, {Service: "Users", Method: "getUser", Arguments: []byte(`{"id": 1}`)}} {
		if done, err := r.PurgeCache(t.Context(), what); err != nil || !reflect.DeepEqual(done.Untold, []string{"redis"}) {
			t.Errorf("purge while Redis is away: %+v, %v", done, err)
		}
	}
	if _, ok, err := r.CachedReply(t.Context(), status.CachedCall{Service: "Users", Method: "getUser"}); ok || !errors.Is(err, status.ErrStore) {
		t.Errorf("a look while Redis is away: %v, %v", ok, err)
	}
	server.Start()
	eventually(t, "Redis has been told", func() bool { s := r.CacheReport().Stores[0]; return s.Up && s.Owed == 0 })
	r.purge(status.Purge{Tag: "user:1"}, "tag")
}
