package consul

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is a strict stand-in for a Consul agent: it answers /v1/health/service/NAME as Consul documents it, blocking queries included, and
// fails the test on a request that Consul would not take, or that breaks the rules for clients.
type agent struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	index   uint64
	all     []*api.ServiceEntry
	changed chan struct{}
	down    bool
	token   string
	asked   []string // the queries, in order
	last    uint64   // the newest index that was given out
}

func start(t *testing.T, secure bool) *agent {
	a := &agent{t: t, index: 17, changed: make(chan struct{})}
	a.server = httptest.NewUnstartedServer(a)
	if secure {
		a.server.StartTLS()
	} else {
		a.server.Start()
	}
	t.Cleanup(a.server.Close)
	return a
}

func (a *agent) address() string { return a.server.Listener.Addr().String() }

// change changes what the agent knows, and wakes the queries that wait. by is what is added to the index.
func (a *agent) change(by int64, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.index = uint64(int64(a.index) + by)
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	if !ok || r.Method != http.MethodGet || name == "" {
		a.t.Errorf("%s %s is none of the API", r.Method, r.URL)
	}
	for key := range q {
		if !slices.Contains([]string{"index", "wait", "dc", "passing", "tag"}, key) {
			a.t.Errorf("%s: unexpected", key)
		}
	}
	var index uint64
	if text := q.Get("index"); text != "" {
		if _, err := fmt.Sscan(text, &index); err != nil || index == 0 {
			a.t.Errorf("index %q", text) // 0 does not block, and a client must not spin with it
		}
	}
	wait := time.Duration(0)
	if text := q.Get("wait"); text != "" {
		var err error
		if wait, err = time.ParseDuration(text); err != nil || wait <= 0 || wait > 10*time.Minute {
			a.t.Errorf("wait %q: %v", text, err)
		}
	}
	if (index == 0) != (wait == 0) {
		a.t.Errorf("%s: an index and a wait go together", r.URL.RawQuery)
	}
	a.mu.Lock()
	a.asked = append(a.asked, r.URL.RawQuery)
	if index > a.last {
		a.t.Errorf("index %d was never given out, or is from before a reset: the newest is %d", index, a.last)
	}
	for end := time.After(wait); index != 0 && a.index == index && !a.down; {
		changed := a.changed
		a.mu.Unlock()
		timeout := false
		select {
		case <-changed:
		case <-end:
			timeout = true
		case <-r.Context().Done():
			return
		}
		a.mu.Lock()
		if timeout {
			break
		}
	}
	defer a.mu.Unlock()
	switch {
	case a.down:
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
		return
	case a.token != "" && r.Header.Get("X-Consul-Token") != a.token:
		http.Error(w, "Permission denied: token with AccessorID '00000000' lacks permission 'service:read' on \"users\"", http.StatusForbidden)
		return
	}
	list := []*api.ServiceEntry{}
	for _, e := range a.all {
		_, passing := q["passing"]
		if e.Service.Service == name && (!passing || e.Checks.AggregatedStatus() == api.HealthPassing) && !slices.ContainsFunc(q["tag"], func(tag string) bool { return !slices.Contains(e.Service.Tags, tag) }) {
			list = append(list, e)
		}
	}
	a.last = a.index
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Consul-Index", fmt.Sprint(a.index))
	w.Header().Set("X-Consul-KnownLeader", "true")
	w.Header().Set("X-Consul-LastContact", "0")
	_ = json.NewEncoder(w).Encode(list)
}

func (a *agent) queries() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// instance is one of the service users, whose checks have that status.
func instance(address string, port int, status string, meta map[string]string, tags ...string) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node: &api.Node{Node: "n", Address: "10.9.9.9"},
		Service: &api.AgentService{
			ID: fmt.Sprint("users-", address, port), Service: "users", Address: address, Port: port, Meta: meta, Tags: tags,
			Weights: api.AgentWeights{Passing: 1, Warning: 1},
		},
		Checks: api.HealthChecks{{Status: api.HealthPassing}, {Status: status}},
	}
}

func instances(all []rpc.Endpoint) (out []*api.ServiceEntry) {
	for _, e := range all {
		host, _, _ := strings.Cut(e.Address, ":")
		meta := map[string]string{}
		if e.Slots > 0 {
			meta["slots"] = fmt.Sprint(e.Slots)
		}
		if e.Weight != 0 || e.Drained {
			meta["weight"] = fmt.Sprint(max(0, e.Weight))
		}
		if e.Zone != "" {
			meta["zone"], meta["labels"] = e.Zone, string(e.Labels)
		}
		out = append(out, instance(host, 6001, api.HealthPassing, meta))
	}
	return out
}

// unweighed leaves out weight 1, which instances have where nobody says.
type unweighed struct{ resolve.Resolver }

func (u unweighed) Run(ctx context.Context, tell resolve.Tell) {
	u.Resolver.Run(ctx, func(all []rpc.Endpoint, err error) {
		for i := range all {
			if all[i].Weight == 1 {
				all[i].Weight = 0
			}
		}
		tell(all, err)
	})
}

func open(a *agent, change func(*resolve.ConsulConfig)) resolve.Resolver {
	c := resolve.ConsulConfig{Address: a.address(), Service: "users", Wait: time.Second}
	if change != nil {
		change(&c)
	}
	return unweighed{New(c)}
}

// The stand-in's catalog passes the kit.
func TestConsul(t *testing.T) {
	resolvetest.Run(t, func(t *testing.T) resolvetest.Source {
		a := start(t, false)
		a.all = instances([]rpc.Endpoint{{Address: "127.0.0.1:6001"}})
		return resolvetest.Source{
			Resolver: open(a, nil),
			Set:      func(all []rpc.Endpoint) { a.change(1, func() { a.all = instances(all) }) },
			Break:    func() { a.change(1, func() { a.down = true }) },
			Mend:     func() { a.change(1, func() { a.down = false }) },
		}
	})
}

func named(address string) rpc.Endpoint { return rpc.Endpoint{Address: address, Name: address} }

// An index that goes back, as after a restored snapshot, is asked for anew from nothing: what was given out before means nothing any more.
func TestIndexReset(t *testing.T) {
	a := start(t, false)
	a.all = instances([]rpc.Endpoint{{Address: "10.0.0.1:6001"}})
	h := resolvetest.Listen(t, open(a, nil))
	h.Names(named("10.0.0.1:6001"))
	for range 3 { // it waits with an index first
		n := len(a.queries())
		for len(a.queries()) == n {
			time.Sleep(10 * time.Millisecond)
		}
		a.change(-5, func() { a.all, a.last = instances([]rpc.Endpoint{{Address: "10.0.0.2:6001"}}), 0 })
		h.Names(named("10.0.0.2:6001"))
		a.change(1, func() { a.all = instances([]rpc.Endpoint{{Address: "10.0.0.1:6001"}}) })
		h.Names(named("10.0.0.1:6001"))
	}
	if got := follow(7, 0); got != 0 {
		t.Errorf("an index of 0 behind 7: %d", got)
	}
	if got := follow(0, 0); got != 1 {
		t.Errorf("an index of 0 at first: %d, which would not wait", got)
	}
}

// A catalog at rest is asked once a wait, and one in motion a few times a second.
func TestPace(t *testing.T) {
	a := start(t, false)
	a.all = instances([]rpc.Endpoint{{Address: "10.0.0.1:6001"}})
	h := resolvetest.Listen(t, open(a, nil))
	h.Names(named("10.0.0.1:6001"))
	began := time.Now()
	for time.Since(began) < 2*time.Second {
		a.change(1, func() {})
		time.Sleep(time.Millisecond)
	}
	if n, most := len(a.queries()), int(time.Since(began)/shortest)+3; n > most {
		t.Errorf("%d queries in %v, want %d at most", n, time.Since(began), most)
	}
}

// What is asked for: instances with each tag, of a data centre, with these checks.
func TestQuery(t *testing.T) {
	a := start(t, false)
	a.all = []*api.ServiceEntry{
		instance("10.0.0.1", 1, api.HealthPassing, nil, "v1", "x"), instance("10.0.0.2", 1, api.HealthWarning, nil, "v1", "x"),
		instance("10.0.0.3", 1, api.HealthCritical, nil, "v1", "x"), instance("10.0.0.4", 1, api.HealthPassing, nil, "v1"),
	}
	for health, want := range map[string][]rpc.Endpoint{
		Passing: {named("10.0.0.1:1")}, Warning: {named("10.0.0.1:1"), named("10.0.0.2:1")},
		Any: {named("10.0.0.1:1"), named("10.0.0.2:1"), named("10.0.0.3:1")},
	} {
		h := resolvetest.Listen(t, open(a, func(c *resolve.ConsulConfig) { c.Health, c.Tags, c.Datacenter = health, []string{"v1", "x"}, "dc2" }))
		h.Names(want...)
		h.End()
	}
	if got := a.queries()[0]; !strings.Contains(got, "dc=dc2") {
		t.Errorf("the first query is %s", got)
	}
}

// What an instance comes to, and what is told of one that is broken.
func TestInstances(t *testing.T) {
	node := instance("", 7, api.HealthPassing, nil)
	socket := instance("", 0, api.HealthPassing, nil)
	socket.Service.SocketPath = "/run/users.sock"
	warned := instance("10.0.0.1", 7, api.HealthWarning, nil)
	warned.Service.Weights = api.AgentWeights{Passing: 10, Warning: 0}
	heavy := instance("10.0.0.1", 7, api.HealthPassing, nil)
	heavy.Service.Weights.Passing = 65535
	for _, c := range []struct {
		in   *api.ServiceEntry
		want string
	}{
		{instance("10.0.0.1", 7, "passing", map[string]string{"slots": "4", "weight": "3", "zone": "a", "other": "x"}), "[{10.0.0.1:7 10.0.0.1:7 4 false 3 false a }] <nil>"},
		{instance("10.0.0.1", 7, "passing", map[string]string{"weight": "0"}), "[{10.0.0.1:7 10.0.0.1:7 0 false 0 true  }] <nil>"},
		{node, "[{10.9.9.9:7 10.9.9.9:7 0 false 1 false  }] <nil>"},
		{socket, "[{unix:/run/users.sock unix:/run/users.sock 0 false 1 false  }] <nil>"},
		{instance("fd00::1", 7, "passing", nil), "[{[fd00::1]:7 [fd00::1]:7 0 false 1 false  }] <nil>"},
		{warned, "[{10.0.0.1:7 10.0.0.1:7 0 false 0 true  }] <nil>"},
		{heavy, "[{10.0.0.1:7 10.0.0.1:7 0 false 1000 false  }] <nil>"},
		{instance("10.0.0.1", 0, "passing", nil), `[] instance "users-10.0.0.10": address "10.0.0.1:0": want host:port or unix:/path`},
		{instance("10.0.0.1", 7, "passing", map[string]string{"slots": "0"}), `[] instance "users-10.0.0.17": meta slots: "0" is no such number`},
		{instance("10.0.0.1", 7, "passing", map[string]string{"weight": "x"}), `[] instance "users-10.0.0.17": meta weight: "x" is no such number`},
		{instance("10.0.0.1", 7, "passing", map[string]string{"labels": "version=v2,size=big"}), "[{10.0.0.1:7 10.0.0.1:7 0 false 1 false  size=big,version=v2}] <nil>"},
		{instance("10.0.0.1", 7, "passing", map[string]string{"labels": "big"}), `[] instance "users-10.0.0.17": meta labels "big": name=value,name=value is wanted, each name once`},
		{&api.ServiceEntry{}, "[] <nil>"},
	} {
		all, err := endpoints([]*api.ServiceEntry{c.in})
		if got := fmt.Sprintf("%v %v", all, err); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// A token is read for each request, and one that is refused is told without itself; so is an agent that is not there.
func TestToken(t *testing.T) {
	a := start(t, false)
	a.all, a.token = instances([]rpc.Endpoint{{Address: "10.0.0.1:6001"}}), "right"
	var token atomic.Pointer[string]
	wrong, right := "wrong", "right"
	token.Store(&wrong)
	h := resolvetest.Listen(t, open(a, func(c *resolve.ConsulConfig) { c.Token = func() (string, error) { return *token.Load(), nil } }))
	if err := h.Fails(); !strings.HasPrefix(err.Error(), "the agent answers 403: Permission denied") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("it fails with %v", err)
	}
	token.Store(&right)
	h.Names(named("10.0.0.1:6001"))
	a.server.CloseClientConnections()
	a.server.Listener.Close()
	if err := h.Fails(); err.Error() == "" {
		t.Error(err)
	}
}

// Over TLS the agent's name is verified.
func TestTLS(t *testing.T) {
	a := start(t, true)
	a.all = instances([]rpc.Endpoint{{Address: "10.0.0.1:6001"}})
	trust := a.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, good := range map[string]bool{"": true, "example.com": true, "other.test": false} {
		h := resolvetest.Listen(t, open(a, func(c *resolve.ConsulConfig) {
			c.TLS = func() *tls.Config { return &tls.Config{RootCAs: trust, ServerName: name} }
		}))
		if good {
			h.Names(named("10.0.0.1:6001"))
		} else if err := h.Fails(); !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		h.End()
	}
}
