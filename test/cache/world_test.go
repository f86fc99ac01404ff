// Package cache holds the cache to its promises with real Redis and memcached, real gateways, and real ThriftPy callers.
package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/store/memcached"
	"github.com/thriftloom/thriftloom/store/redis"
)

const usersIDL = `
struct User { 1: i64 id, 2: string name }
exception NotFound { 1: i64 id }
service Users {
    string getUser(1: i64 id) throws (1: NotFound missing),
    void putUser(1: User user),
}
`

// User is a user.
type User struct {
	ID   int64
	Name string
}

// NotFound is the exception.
type NotFound struct{ ID int64 }

// Error implements error.
func (n *NotFound) Error() string { return fmt.Sprintf("no user %d", n.ID) }

// users is the server: it counts what it is asked for.
type users struct {
	mu    sync.Mutex
	names map[int64]string
	loads atomic.Int64
	takes time.Duration
}

// GetUser returns a name; ids below 0 there are not.
func (u *users) GetUser(_ context.Context, id int64) (string, error) {
	u.loads.Add(1)
	time.Sleep(u.takes)
	u.mu.Lock()
	defer u.mu.Unlock()
	if id < 0 {
		return "", &NotFound{id}
	}
	if name, ok := u.names[id]; ok {
		return name, nil
	}
	return fmt.Sprint("user ", id), nil
}

// PutUser gives a name.
func (u *users) PutUser(_ context.Context, user *User) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names == nil {
		u.names = map[int64]string{}
	}
	u.names[user.ID] = user.Name
	return nil
}

// caller calls them.
type caller struct {
	GetUser func(context.Context, int64) (string, error)
	PutUser func(context.Context, *User) error
}

func service(t *testing.T) *thriftloom.Service {
	t.Helper()
	doc, err := thriftloom.LoadBytes("users.thrift", []byte(usersIDL))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Service("Users")
}

// fleet are gateways before one server.
type fleet struct {
	*testing.T
	server   *users
	gateways []*peertest.Gateway
	fronts   []string
	callers  []*caller
}

// start starts n gateways whose stores and methods are as they are given.
func start(t *testing.T, n int, stores, methods string) *fleet {
	t.Helper()
	f := &fleet{T: t, server: &users{}}
	s, err := thriftloom.NewServer(service(t), f.server)
	if err != nil {
		t.Fatal(err)
	}
	at := peertest.ServeGo(t, s)
	idl := filepath.Join(t.TempDir(), "users.thrift")
	if err := os.WriteFile(idl, []byte(usersIDL), 0o600); err != nil {
		t.Fatal(err)
	}
	for range n {
		front := peertest.FreePort(t)
		f.gateways = append(f.gateways, peertest.StartGatewayWith(t, gateway.Options{Stores: gateway.StoreClients{Redis: redis.Open, Memcached: memcached.Open}}, fmt.Sprintf(`
listen: %q
stores: {%s}
services:
  Users:
    idl: %q
    timeout: 10s
    upstream: {endpoints: [%q], server: concurrent}
    methods: {%s}
`, front, stores, idl, at, methods)))
		f.gateways[len(f.gateways)-1].AwaitReady(t, "Users")
		f.fronts, f.callers = append(f.fronts, front), append(f.callers, dial(t, front, thriftloom.ClientConfig{}))
	}
	return f
}

// cached is the methods of a service whose getUser has this cache block.
func cached(block string) string {
	return fmt.Sprintf("getUser: {cache: {%s}}, putUser: {cache: {invalidates: [getUser(user.id)]}}", block)
}

func dial(t *testing.T, at string, c thriftloom.ClientConfig) *caller {
	t.Helper()
	c.Addresses, c.Attempts = []string{at}, 1
	client, err := c.Dial(service(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	out := new(caller)
	if err := thriftloom.Bind(client, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// up is what the i-th gateway says of its store.
func (f *fleet) up(i int) bool { return f.gateways[i].Snapshot().Cache.Stores[0].Up }

// wants calls the i-th gateway.
func (f *fleet) wants(i int, id int64, name string) {
	f.Helper()
	if got, err := f.callers[i].GetUser(f.Context(), id); got != name || err != nil {
		f.Errorf("gateway %d, user %d: %q, %v; %q is wanted", i, id, got, err, name)
	}
}

// play calls all gateways, ids in turn, from several callers until stop; none may fail. It returns how long calls took, in order.
func (f *fleet) play(ids int64, stop <-chan struct{}) (took []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for n := int64(w); ; n += 7 {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				began := time.Now()
				name, err := f.callers[w%len(f.callers)].GetUser(f.Context(), n%ids)
				if err != nil || !strings.HasPrefix(name, "user ") {
					f.Errorf("%q, %v", name, err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return took
}
