package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var users = schema.MustParse(`
struct User { 1: i64 id, 2: string name }
exception NotFound { 1: i64 id }
exception Broken { 1: string why }
service Users {
	string getUser(1: i64 id) throws (1: NotFound missing, 2: Broken broken),
	string search(1: string text, 2: i32 page, 3: double weight),
	string listUsers(),
	void putUser(1: User user) throws (1: NotFound missing),
	void removeUser(1: i64 id),
	oneway void track(1: i64 id),
}`).Service("Users")

// made is a call of a method with arguments in JSON.
func made(t testing.TB, method, caller, args string) *rpc.Call {
	t.Helper()
	return madeIn(t, wire.Binary, method, caller, args)
}

func madeIn(t testing.TB, p wire.Protocol, method, caller, args string) *rpc.Call {
	t.Helper()
	m := users.Method(method)
	v, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	body, err := codec.AppendValue(nil, p, codec.TypeOf(m.Args), v)
	if err != nil {
		t.Fatal(err)
	}
	return &rpc.Call{
		Service: "Users", Name: method, Method: m, Protocol: p, Body: body, Caller: rpc.Caller{Name: caller}, Oneway: m.Oneway,
		Start: time.Now(), Deadline: time.Now().Add(time.Minute),
	}
}

func getUser(t testing.TB, id int) *rpc.Call {
	t.Helper()
	return made(t, "getUser", "", fmt.Sprintf(`{"id": %d}`, id))
}

// upstream counts calls, and answers each with a text that tells it from those before.
type upstream struct {
	t    testing.TB
	took time.Duration
	// answer, if set, answers in its place.
	answer func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error)

	mu    sync.Mutex
	calls int
}

// Handle implements rpc.Handler.
func (u *upstream) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	u.mu.Lock()
	u.calls++
	n := u.calls
	u.mu.Unlock()
	time.Sleep(u.took)
	if u.answer != nil {
		return u.answer(ctx, call)
	}
	return text(strconv.Itoa(n)), nil
}

func (u *upstream) made() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls
}

// text is a reply of getUser with a text.
func text(s string) *rpc.Reply { return result("success", strconv.Quote(s)) }

// thrown is a reply of getUser with a declared exception.
func thrown(field string) *rpc.Reply {
	reply := result(field, "{}")
	reply.Exception = users.Method("getUser").Result.FieldByName(field).ID
	return reply
}

func result(field, value string) *rpc.Reply {
	of := codec.TypeOf(users.Method("getUser").Result)
	v, err := codec.ParseJSON(of, fmt.Appendf(nil, `{%q: %s}`, field, value))
	if err != nil {
		panic(err)
	}
	body, err := codec.AppendValue(nil, wire.Binary, of, v)
	if err != nil {
		panic(err)
	}
	return &rpc.Reply{Protocol: wire.Binary, Body: body}
}

// gateway is one gateway's cache before an upstream.
type gateway struct {
	t       testing.TB
	state   *cache.State
	near    *cachetest.Map
	place   cache.Place
	configs map[string]cache.Config
	handler rpc.Handler
	stores  []string // what was told of stores
	mu      sync.Mutex
}

// with are the blocks of methods, over the defaults.
func with(blocks map[string]func(c *cache.Config)) map[string]cache.Config {
	all := map[string]cache.Config{}
	for name, set := range blocks {
		c := cache.Default()
		set(&c)
		all[name] = c
	}
	return all
}

func ttl(d time.Duration) map[string]cache.Config {
	return with(map[string]func(*cache.Config){"getUser": func(c *cache.Config) { c.TTL = d }})
}

// open makes a gateway; memory, which may be nil, is the store that it shares with others.
func open(t testing.TB, up rpc.Handler, memory *cachetest.Memory, configs map[string]cache.Config) *gateway {
	t.Helper()
	return openAt(t, up, memory, cache.Place{Service: "Users", Timeout: 10 * time.Second}, configs)
}

func openAt(t testing.TB, up rpc.Handler, memory *cachetest.Memory, at cache.Place, configs map[string]cache.Config) *gateway {
	t.Helper()
	g := &gateway{t: t, near: &cachetest.Map{}, place: at, configs: configs}
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	g.state = cache.NewState(cache.Options{
		Near: g.near,
		OnStore: func(store string, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.stores = append(g.stores, fmt.Sprint(store, ": ", err))
		},
		Random: func() float64 { mu.Lock(); defer mu.Unlock(); return random.Float64() },
	})
	t.Cleanup(g.state.Close)
	if memory != nil {
		g.state.Use("redis", memory.Open(g.state.Events("redis")), 0)
	}
	g.place.Methods = configs
	g.handler = cache.Layer(g.policies(), g.state).Wrap(up)
	return g
}

// patient makes the gateway wait for its store as long as that takes: for tests in real time.
func (g *gateway) patient(memory *cachetest.Memory) {
	g.state.Use("redis", memory.Open(g.state.Events("redis")), time.Minute)
}

func (g *gateway) policies() (all rpc.PerMethod[cache.Policy]) {
	g.t.Helper()
	for _, m := range users.Methods {
		all.Methods = append(all.Methods, g.policy(m.Name))
	}
	return all
}

func (g *gateway) policy(method string) cache.Policy {
	g.t.Helper()
	c, ok := g.configs[method]
	if !ok {
		return cache.Policy{}
	}
	p, mistakes := c.Compile(users.Method(method), g.place)
	if len(mistakes) > 0 {
		g.t.Fatalf("%s: %v", method, mistakes)
	}
	return p
}

// do makes a call, and returns the text of its reply and how the cache answered.
func (g *gateway) do(call *rpc.Call) (string, rpc.CacheResult, error) {
	g.t.Helper()
	return g.doWith(g.t.Context(), call)
}

func (g *gateway) doWith(ctx context.Context, call *rpc.Call) (string, rpc.CacheResult, error) {
	g.t.Helper()
	var r rpc.Record
	r.Begin(call, nil)
	reply, err := g.handler.Handle(ctx, call)
	if err != nil {
		return "", r.Cache, err
	}
	return textOf(g.t, reply), r.Cache, nil
}

func textOf(t testing.TB, reply *rpc.Reply) string {
	t.Helper()
	v, _, err := codec.DecodeStruct(reply.Protocol, users.Method("getUser").Result, reply.Body, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := v.Get("success").(string); ok {
		return s
	}
	return "an exception"
}

// wants makes a call that has to be answered so.
func (g *gateway) wants(call *rpc.Call, want string, how rpc.CacheResult) {
	g.t.Helper()
	got, by, err := g.do(call)
	if err != nil || got != want || by != how {
		g.t.Errorf("%s: %q by %q, %v; %q by %q is wanted", call.Name, got, by, err, want, how)
	}
}
