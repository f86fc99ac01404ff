//go:build unix

package etcd

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real etcd with a client.
type server struct {
	*peertest.EtcdServer
	t      *testing.T
	client *clientv3.Client
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{EtcdServer: peertest.StartEtcd(t), t: t}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Address}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	s.client = c
	t.Cleanup(func() { _ = c.Close() })
	s.do(func(ctx context.Context) error { _, err := c.Get(ctx, "x"); return err })
	return s
}

// do asks until it succeeds: a member that has just begun has no leader yet.
func (s *server) do(f func(ctx context.Context) error) {
	s.t.Helper()
	peertest.Eventually(s.t, "etcd answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return f(ctx) == nil
	})
}

const prefix = "/services/users/"

func (s *server) put(key, value string) {
	s.t.Helper()
	s.do(func(ctx context.Context) error { _, err := s.client.Put(ctx, prefix+key, value); return err })
}

func (s *server) remove(key string) {
	s.t.Helper()
	s.do(func(ctx context.Context) error { _, err := s.client.Delete(ctx, prefix+key); return err })
}

// set makes these endpoints all that stands below the prefix.
func (s *server) set(all []rpc.Endpoint) {
	s.t.Helper()
	ops := []clientv3.Op{clientv3.OpDelete(prefix, clientv3.WithPrefix())}
	s.do(func(ctx context.Context) error { _, err := s.client.Do(ctx, ops[0]); return err })
	for i, e := range all {
		value := e.Address
		if e.Zone != "" {
			value = fmt.Sprintf(`{"address": %q, "slots": %d, "weight": %d, "zone": %q, "labels": {"size": %q}}`, e.Address, e.Slots, max(e.Weight, 0), e.Zone, e.Labels.Map()["size"])
		}
		s.put(fmt.Sprint(i), value)
	}
}

func (s *server) resolver(at string) resolve.Resolver {
	r := New(resolve.EtcdConfig{Endpoints: []string{at}, Prefix: prefix}).(*Resolver)
	r.every = 500 * time.Millisecond
	return r
}

func named(address string) rpc.Endpoint { return rpc.Endpoint{Address: address, Name: address} }

// A real etcd passes the kit; it fails by being killed, and comes back with what it has kept.
func TestEtcd(t *testing.T) {
	resolvetest.Run(t, func(t *testing.T) resolvetest.Source {
		s := start(t)
		s.set([]rpc.Endpoint{named("127.0.0.1:6001")})
		return resolvetest.Source{Resolver: s.resolver(s.Address), Set: s.set, Break: s.Stop, Mend: s.Start}
	})
}

// A value that is broken is told, and takes no other along; a key beside the prefix is none of ours.
func TestValues(t *testing.T) {
	s := start(t)
	s.put("a", "10.0.0.1:6000")
	s.do(func(ctx context.Context) error {
		_, err := s.client.Put(ctx, "/services/users-2/a", "10.0.0.9:6000")
		return err
	})
	h := resolvetest.Listen(t, s.resolver(s.Address))
	h.Names(named("10.0.0.1:6000"))
	s.put("b", "nonsense")
	h.Until("the broken key is told", func(all []rpc.Endpoint, err error) bool {
		return len(all) == 1 && err != nil && strings.Contains(err.Error(), `key "/services/users/b": address "nonsense"`)
	})
	s.remove("b")
	h.Names(named("10.0.0.1:6000"))
	s.remove("a")
	h.None()
}

// What happens while the resolver is cut off, compaction included, is there when it is back.
func TestCompactedWhileCutOff(t *testing.T) {
	s := start(t)
	s.put("a", "10.0.0.1:6000")
	line := relay(t, s.Address)
	h := resolvetest.Listen(t, s.resolver(line.at))
	h.Names(named("10.0.0.1:6000"))
	line.cut()
	h.Fails()
	for i := range 50 {
		s.put("b", fmt.Sprintf("10.0.0.2:%d", 6000+i))
	}
	s.remove("a")
	s.do(func(ctx context.Context) error {
		got, err := s.client.Get(ctx, "x")
		if err == nil {
			_, err = s.client.Compact(ctx, got.Header.Revision, clientv3.WithCompactPhysical())
		}
		return err
	})
	line.mend()
	h.Names(named("10.0.0.2:6049"))
}

// A partition, in which no packet comes and nothing is closed, is noticed by the questions; what changed in it is seen after it.
func TestPartition(t *testing.T) {
	s := start(t)
	s.put("a", "10.0.0.1:6000")
	line := relay(t, s.Address)
	h := resolvetest.Listen(t, s.resolver(line.at))
	h.Names(named("10.0.0.1:6000"))
	line.freeze(true)
	s.put("a", "10.0.0.2:6000")
	h.Fails()
	line.freeze(false)
	h.Names(named("10.0.0.2:6000"))
}

// Changes that a read has seen already are not laid on it again.
func TestApply(t *testing.T) {
	event := func(kind string, key, value string, revision int64) *clientv3.Event {
		e := &clientv3.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision}}
		if kind == "delete" {
			e.Type = clientv3.EventTypeDelete
		}
		return e
	}
	values := map[string]string{"a": "1"}
	if apply(values, []*clientv3.Event{event("put", "b", "old", 8), event("delete", "a", "", 9)}, 9) || len(values) != 1 {
		t.Errorf("what is old was laid on: %v", values)
	}
	if !apply(values, []*clientv3.Event{event("put", "b", "old", 9), event("put", "b", "new", 10), event("delete", "a", "", 11)}, 9) || fmt.Sprint(values) != "map[b:new]" {
		t.Errorf("%v", values)
	}
}

// A login that is refused is a failure that says so, and is tried again with what the file holds then.
func TestLogin(t *testing.T) {
	s := start(t)
	s.put("a", "10.0.0.1:6000")
	s.do(func(ctx context.Context) error {
		_, err := s.client.RoleAdd(ctx, "root")
		return ignore(err, "already exists")
	})
	s.do(func(ctx context.Context) error {
		_, err := s.client.UserAdd(ctx, "root", "secret")
		return ignore(err, "already exists")
	})
	s.do(func(ctx context.Context) error { _, err := s.client.UserGrantRole(ctx, "root", "root"); return err })
	s.do(func(ctx context.Context) error { _, err := s.client.AuthEnable(ctx); return err })
	var mu sync.Mutex
	password := "wrong"
	r := New(resolve.EtcdConfig{Endpoints: []string{s.Address}, Prefix: prefix, Username: "root", Password: func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		return password, nil
	}})
	h := resolvetest.Listen(t, r)
	if err := h.Fails(); !strings.Contains(err.Error(), "authentication failed") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("it fails with %v", err)
	}
	mu.Lock()
	password = "secret"
	mu.Unlock()
	h.Names(named("10.0.0.1:6000"))
	if err := resolvetest.Listen(t, s.resolver(s.Address)).Fails(); !strings.Contains(err.Error(), "user name is empty") {
		t.Errorf("without a login: %v", err)
	}
}

func ignore(err error, text string) error {
	if err != nil && strings.Contains(err.Error(), text) {
		return nil
	}
	return err
}

// wire is a line to a server that can be cut and frozen.
type wire struct {
	at string
	to string

	mu     sync.Mutex
	thawed chan struct{} // closed while bytes pass
	down   bool
	open   map[net.Conn]bool
}

func relay(t *testing.T, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{at: l.Addr().String(), to: to, thawed: make(chan struct{}), open: map[net.Conn]bool{}}
	close(w.thawed)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		w.freeze(false)
		all.Wait()
	})
	return w
}

func (w *wire) pass(a net.Conn) {
	b, err := net.Dial("tcp", w.to)
	if err != nil || !w.add(a, b) {
		_ = a.Close()
		return
	}
	var both sync.WaitGroup
	for _, x := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(through{w, x[1]}, x[0])
			_, _ = a.Close(), b.Close()
		})
	}
	both.Wait()
}

// add keeps the ends of a connection, unless the line is cut.
func (w *wire) add(a, b net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		_ = b.Close()
		return false
	}
	w.open[a], w.open[b] = true, true
	return true
}

// through holds bytes back while the line is frozen.
type through struct {
	w  *wire
	to net.Conn
}

func (x through) Write(b []byte) (int, error) {
	x.w.mu.Lock()
	thawed := x.w.thawed
	x.w.mu.Unlock()
	<-thawed
	return x.to.Write(b)
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for c := range w.open {
		_ = c.Close()
	}
	clear(w.open)
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

func (w *wire) freeze(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.thawed = make(chan struct{})
		return
	}
	select {
	case <-w.thawed:
	default:
		close(w.thawed)
	}
}
