package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// rights are all that a user has to have, as the manual says.
const rights = "~thriftloom:* +get +getrange +set +del +unlink +exists +pttl +pexpire +time +eval +evalsha +ping +hello +client|tracking"

// A user with a password and no more rights than it takes; one with another password is told so, in no word of which the password is.
func TestUser(t *testing.T) {
	r := peertest.StartRedis(t)
	do := admin(t, r.Address)
	do(append([]string{"ACL", "SETUSER", "loom", "on", ">s3cret-of-loom"}, strings.Fields(rights)...)...)
	do("ACL", "SETUSER", "default", "resetpass", ">s3cret-of-all")
	c := at(r.Address)
	c.User, c.Password = "loom", "s3cret-of-loom"
	var e events
	s, other := open(t, c, e.hooks()), open(t, c, cache.Events{})
	load(t, s, key, "x", group)
	l, err := s.Acquire(t.Context(), key, []cache.ID{group}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Extend(t.Context(), key, l, time.Minute), s.Release(t.Context(), key, l), other.Invalidate(t.Context(), group),
		other.Delete(t.Context(), key)); err != nil {
		t.Error(err)
	}
	peertest.Eventually(t, "the changes are told", func() bool { return e.has(key) && e.has(group) })
	limits, err := NewLimits(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	if ok, err := limits.Take(t.Context(), someRule, perSecond(1), 1, time.Time{}); !ok {
		t.Error(err)
	}

	c.User = ""
	c.Password = "s3cret-of-all"
	load(t, open(t, c, cache.Events{}), cache.ID{3}, "the default user")
	for _, wrong := range []struct{ user, password, says string }{
		{"loom", "s3cret-of-nobody", "WRONGPASS"}, {"", "s3cret-of-nobody", "WRONGPASS"}, {"", "", "NOAUTH"},
	} {
		c.User, c.Password = wrong.user, wrong.password
		_, err := open(t, c, cache.Events{}).Get(t.Context(), key, nil)
		if err == nil || !strings.Contains(err.Error(), wrong.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// A server that does not let tracking be turned on says so, and is of use without.
func TestTrackingRefused(t *testing.T) {
	r := peertest.StartRedis(t)
	admin(t, r.Address)(append([]string{"ACL", "SETUSER", "default"}, strings.Fields("+@all -client|tracking")...)...)
	c := at(r.Address)
	if _, err := open(t, c, cache.Events{}).Get(t.Context(), key, nil); !errors.Is(err, errTracking) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	c.Tracking = false
	s := open(t, c, cache.Events{})
	if load(t, s, key, "x"); s.Tracks() {
		t.Error("it tracks")
	}
}

// An error of a server that repeats what it was asked for is cut: a server that does not know a command says the value.
func TestNoValueInErrors(t *testing.T) {
	r := peertest.StartRedis(t, "--rename-command", "EVALSHA", "", "--rename-command", "EVAL", "")
	s := open(t, at(r.Address), cache.Events{})
	_, err := s.Put(t.Context(), key, cache.Lease{Token: 1}, []byte("s3cret"), time.Minute)
	if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "args") {
		t.Errorf("%v", err)
	}
}

// TLS, with a certificate of the client too; without one, or where the server's is of another authority, calls fail.
func TestTLS(t *testing.T) {
	ca, dir := testcert.NewCA(t, "stores"), t.TempDir()
	cert, secret := ca.Sign(t, []string{"127.0.0.1"}).Write(t, dir, "server")
	address := peertest.FreePort(t)
	_, port, _ := net.SplitHostPort(address)
	peertest.StartRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", secret, "--tls-ca-cert-file", ca.Write(t, dir, "ca"),
		"--tls-auth-clients", "yes")
	good := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Sign(t, []string{"gateway"}).TLS(t)}}
	s, err := New(at(address), good, cache.Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	works(t, s)
	for name, wrong := range map[string]*tls.Config{
		"no certificate":    {RootCAs: ca.Pool()},
		"another authority": {RootCAs: testcert.NewCA(t, "others").Pool(), Certificates: good.Certificates},
		"no TLS":            nil,
	} {
		s, err := New(at(address), wrong, cache.Events{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := s.Get(ctx, key, nil); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		s.Close()
	}
}

// A master that is killed: the loss is told, and the replica that Sentinel puts in its place is used. One that is asked to step down is left
// though it lives.
func TestSentinel(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, master *peertest.StoreServer, sentinel string){
		"killed": func(_ *testing.T, master *peertest.StoreServer, _ string) { master.Kill() },
		"steps down": func(t *testing.T, _ *peertest.StoreServer, sentinel string) {
			c := client(t, sentinel)
			peertest.Eventually(t, "Sentinel may choose the replica", func() bool {
				return c.Do(t.Context(), c.B().Arbitrary("SENTINEL", "FAILOVER", "master").Build()).Error() == nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			master := peertest.StartRedis(t, "--repl-diskless-sync-delay", "0")
			host, port, _ := net.SplitHostPort(master.Address)
			replica := peertest.StartRedis(t, "--replicaof", host+" "+port)
			do := admin(t, master.Address)
			peertest.Eventually(t, "the replica is in step", func() bool {
				info := do("INFO", "replication")
				text, _ := info.ToString()
				return strings.Contains(text, "state=online")
			})
			sentinel := peertest.StartSentinel(t, master)
			ask := admin(t, sentinel)
			peertest.Eventually(t, "Sentinel knows the replica", func() bool {
				m := ask("SENTINEL", "REPLICAS", "master")
				all, err := m.ToArray()
				return err == nil && len(all) == 1
			})
			c := at(sentinel)
			c.Sentinel.Master = "master"
			var e events
			s := open(t, c, e.hooks())
			works(t, s)
			began := time.Now()
			leave(t, master, sentinel)
			peertest.Eventually(t, "the loss is told", func() bool { return !e.lostSince(began).IsZero() })
			second := client(t, replica.Address) // which Sentinel cuts off
			peertest.Eventually(t, "what is put is at the replica", func() bool {
				if err := s.Delete(t.Context(), key); err != nil {
					return false
				}
				l, err := s.Acquire(t.Context(), key, nil, time.Minute)
				if err != nil {
					return false
				}
				_, err = s.Put(t.Context(), key, l, []byte("x"), time.Minute)
				got, e := second.Do(t.Context(), second.B().Get().Key(s.key(key)).Build()).ToString()
				role, _ := second.Do(t.Context(), second.B().Role().Build()).ToArray()
				return err == nil && e == nil && got == "x" && len(role) == 3 // of a master
			})
		})
	}
}

// A node of a cluster that is killed is a loss, and the cluster is used again when it is back.
func TestClusterNodeKilled(t *testing.T) {
	nodes := peertest.StartRedisCluster(t)
	c := at(nodes[0].Address, nodes[1].Address, nodes[2].Address)
	c.Cluster = true
	var e events
	s := open(t, c, e.hooks())
	all := func() (failed int) {
		for i := range 32 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := s.Get(ctx, cache.ID{byte(i)}, []cache.ID{{byte(i), 1}}); err != nil {
				failed++
			}
			cancel()
		}
		return failed
	}
	peertest.Eventually(t, "all nodes answer", func() bool { return all() == 0 })
	began := time.Now()
	nodes[1].Kill()
	e.awaitLoss(t, began)
	if n := all(); n == 0 {
		t.Error("none failed without a node")
	}
	nodes[1].Start()
	peertest.Eventually(t, "all nodes answer", func() bool { return all() == 0 })
}

// Slots that move from one node of a cluster to another take what is there along, and changes are told after that.
func TestClusterMoves(t *testing.T) {
	nodes := peertest.StartRedisCluster(t)
	c := at(nodes[0].Address)
	c.Cluster = true
	var e events
	s, other := open(t, c, e.hooks()), open(t, c, cache.Events{})
	load(t, s, key, "x")
	load(t, other, cache.ID{5}, "y")
	slotOf := admin(t, nodes[0].Address)("CLUSTER", "KEYSLOT", s.key(key))
	slot, _ := slotOf.AsInt64()
	move(t, nodes, fmt.Sprint(slot), s.key(key))
	if got := get(t, s, key).Value; string(got) != "x" {
		t.Fatalf("%q after the move", got)
	}
	e.mu.Lock()
	e.changed = nil
	e.mu.Unlock()
	if err := other.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	peertest.Eventually(t, "the change is told", func() bool { return e.has(key) })
	if got := get(t, s, key).Value; got != nil {
		t.Fatalf("%q after the deletion", got)
	}
}

// move moves a slot with one key from the node that has it to another.
func move(t *testing.T, nodes []*peertest.StoreServer, slot, key string) {
	t.Helper()
	var do []func(...string) string
	for _, n := range nodes {
		ask := admin(t, n.Address)
		do = append(do, func(args ...string) string { m := ask(args...); s, _ := m.ToString(); return s })
	}
	from := -1
	for i, n := range nodes {
		m := admin(t, n.Address)("CLUSTER", "COUNTKEYSINSLOT", slot)
		if count, _ := m.AsInt64(); count > 0 {
			from = i
		}
	}
	to := (from + 1) % len(nodes)
	fromID, toID := do[from]("CLUSTER", "MYID"), do[to]("CLUSTER", "MYID")
	do[to]("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do[from]("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := net.SplitHostPort(nodes[to].Address)
	do[from]("MIGRATE", host, port, key, "0", "5000")
	for i := range nodes {
		do[(to+i)%len(nodes)]("CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
}
