package memcached

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a store as one gateway has it, until the test ends.
func open(t testing.TB, nodes ...*peertest.StoreServer) *Store {
	t.Helper()
	var addresses []string
	for _, n := range nodes {
		addresses = append(addresses, n.Address)
	}
	return openConfig(t, Config{Addresses: addresses})
}

func openConfig(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func startNodes(t testing.TB, n int) (nodes []*peertest.StoreServer) {
	for range n {
		nodes = append(nodes, peertest.StartMemcached(t))
	}
	return nodes
}

// A store of one server, and of three, keeps what a Store promises.
func TestKit(t *testing.T) {
	for name, n := range map[string]int{"one node": 1, "three nodes": 3} {
		t.Run(name, func(t *testing.T) {
			cachetest.Run(t, func(t *testing.T) cachetest.Server {
				nodes := startNodes(t, n)
				each := func(f func(*peertest.StoreServer)) func() {
					return func() {
						for _, node := range nodes {
							f(node)
						}
					}
				}
				return cachetest.Server{
					Open:  func(t *testing.T, _ cache.Events) cache.Store { return open(t, nodes...) },
					Kill:  each((*peertest.StoreServer).Kill),
					Start: each((*peertest.StoreServer).Start),
				}
			})
		})
	}
}
