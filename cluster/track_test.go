package cluster_test

import (
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/transport"
)

// An endpoint that closes a connection because of the handshake gets the call on another one, and is not asked again for a minute.
func TestEndpointThatClosesOnTheHandshake(t *testing.T) {
	with(t, 1, cluster.Options{Tracking: "shop"}, working(0), func(t *testing.T, x *fleet) {
		asked := 0
		x.peers[0].Hidden = func(m transport.Message) fakepeer.Answer {
			if m.Head.Name == tracking.Method {
				asked++
			}
			return fakepeer.Answer{Close: true}
		}
		for _, want := range []int{1, 1, 2} {
			if _, err := x.Handle(t.Context(), call(time.Second)); err != nil {
				t.Fatal(err)
			}
			if asked != want {
				t.Errorf("asked %d times, want %d", asked, want)
			}
			time.Sleep(31 * time.Second) // no connection is kept so long
		}
	})
}
