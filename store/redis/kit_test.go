package redis

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
	"github.com/thriftloom/thriftloom/store"
)

// TestMain looks for goroutines that are left. Those of a cluster's client see only a while later that it was closed.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(15 * time.Second); code == 0; {
		if err := goleak.Find(); err == nil {
			break
		} else if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// at is the default block with an address, and patience with a busy machine: connections stay that nothing comes from for a while.
func at(addresses ...string) Config {
	c := store.DefaultRedis()
	c.Addresses, c.Timeout, c.DialTimeout = addresses, 30*time.Second, 30*time.Second
	return c
}

func open(t testing.TB, c Config, events cache.Events) *Store {
	t.Helper()
	s, err := New(c, nil, events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What every store promises, with one server.
func TestOneServer(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cachetest.Server {
		r := peertest.StartRedis(t)
		return cachetest.Server{
			Open: func(t *testing.T, e cache.Events) cache.Store { return open(t, at(r.Address), e) },
			Kill: r.Kill, Start: r.Start,
		}
	})
}

// What every store promises, with one server that tells nothing.
func TestWithoutTracking(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cachetest.Server {
		r := peertest.StartRedis(t)
		c := at(r.Address)
		c.Tracking = false
		return cachetest.Server{
			Open: func(t *testing.T, e cache.Events) cache.Store { return open(t, c, e) },
			Kill: r.Kill, Start: r.Start,
		}
	})
}

// What every store promises, with a cluster, which keys and groups are spread over.
func TestCluster(t *testing.T) {
	nodes := peertest.StartRedisCluster(t)
	n := 0
	cachetest.Run(t, func(*testing.T) cachetest.Server {
		c := at(nodes[0].Address, nodes[1].Address)
		c.Cluster = true
		n++
		c.Namespace = fmt.Sprintf("test%d", n)
		return cachetest.Server{Open: func(t *testing.T, e cache.Events) cache.Store { return open(t, c, e) }}
	})
}
