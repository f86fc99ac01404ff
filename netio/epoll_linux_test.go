package netio_test

import (
	"net"
	"testing"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/netio/netiotest"
)

func newEpoll(t *testing.T, loops int) func() netio.Engine {
	return func() netio.Engine {
		e, err := netio.NewEpoll(loops)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// The epoll engine keeps the contract over sockets, and leaves what is none to the portable engine.
func TestEpoll(t *testing.T) {
	t.Run("network=tcp", func(t *testing.T) {
		netiotest.Test(t, newEpoll(t, 1), func(t *testing.T) (net.Conn, net.Conn) { return sockets(t, "127.0.0.1:0") })
	})
	t.Run("network=unix", func(t *testing.T) {
		netiotest.Test(t, newEpoll(t, 2), func(t *testing.T) (net.Conn, net.Conn) { return sockets(t, "unix:"+socketPath(t)) })
	})
	t.Run("network=mem", func(t *testing.T) {
		netiotest.Test(t, newEpoll(t, 1), func(*testing.T) (net.Conn, net.Conn) {
			a, b := memnet.Pipe()
			return a, b
		})
	})
}
