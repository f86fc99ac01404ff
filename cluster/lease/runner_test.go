package lease

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // the simulator makes much that does not live long
	goleak.VerifyTestMain(m)
}

// need is an upstream that has as many connections as it may, and as many calls as it is told.
type need struct {
	mu      sync.Mutex
	calls   int
	limit   int
	changed func(bool)
}

func (n *need) Usage() cluster.Usage {
	n.mu.Lock()
	defer n.mu.Unlock()
	busy := min(n.calls, n.limit)
	return cluster.Usage{Waiting: n.calls - busy, Endpoints: []cluster.EndpointUsage{{Address: "a", Slots: 4, Limit: n.limit, Open: busy, Busy: busy}}}
}

func (n *need) SetLimits(limits map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limit = limits["a"]
}

func (n *need) call(calls int) {
	n.mu.Lock()
	n.calls = calls
	n.mu.Unlock()
	n.changed(true)
}

func (n *need) has() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.limit
}

// member is a running Runner with its upstream.
type member struct {
	*Runner
	*need
	end func()
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// addresses are n ports of the loopback interface that nobody uses.
func addresses(t *testing.T, n int) (all []string) {
	for range n {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c.LocalAddr().String())
	}
	return all
}

func run(t *testing.T, i int, all []string, key string) *member {
	t.Helper()
	peers := all
	if i == 2 { // by name, its own among them
		peers = nil
		for _, a := range all {
			peers = append(peers, strings.Replace(a, "127.0.0.1", "localhost", 1))
		}
	}
	r, err := Listen(Config{Name: fmt.Sprint("gw-", i), Listen: all[i], Peers: peers, Key: []byte(key), Hold: time.Second}, silent)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{Runner: r, need: &need{changed: r.Changed}}
	r.Share("Users", m.need)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	m.end = sync.OnceFunc(func() {
		m.need.call(0)
		cancel()
		<-done
	})
	t.Cleanup(m.end)
	return m
}

// eventually returns when done does. It bounds nothing but the patience of the test.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// Gateways that see each other over UDP hand all slots to the one that has calls, to the others when it has none, and to those that are
// left when one ends.
func TestOverUDP(t *testing.T) {
	all := addresses(t, 3)
	var gws []*member
	for i := range all {
		gws = append(gws, run(t, i, all, "a key of the test"))
	}
	eventually(t, "all slots are given out", func() bool { return gws[0].has()+gws[1].has()+gws[2].has() == 4 })
	for _, i := range []int{2, 0, 1} {
		gws[i].call(10)
		eventually(t, fmt.Sprintf("gateway %d has all slots: %+v", i, gws[i].Snapshot()), func() bool { return gws[i].has() == 4 })
		gws[i].call(0)
	}
	gws[0].end()
	gws[2].call(10)
	eventually(t, "the last one has all slots, with the arbiter gone", func() bool { return gws[2].has() == 4 })
	s := gws[2].Snapshot()
	if s.Name != "gw-2" || s.Arbiter != "gw-1" || s.Static || len(s.Members) != 3 || s.Taken == 0 || s.Sent == 0 || s.Dropped["seal"] != 0 {
		t.Errorf("snapshot %+v", s)
	}
}

// A gateway whose process has been killed leaves no word. Its host says that nobody listens: the others have its slots then.
func TestKilledOverUDP(t *testing.T) {
	all := addresses(t, 2)
	one, two := run(t, 0, all, ""), run(t, 1, all, "")
	one.call(10)
	eventually(t, "the first has all slots", func() bool { return one.has() == 4 })
	_ = one.socket.Close()
	two.call(10)
	eventually(t, "the second has all slots", func() bool { return two.has() == 4 })
	if s := two.Snapshot(); s.Members[1].State != "gone" {
		t.Errorf("snapshot %+v", s)
	}
}

// What strangers send, what is sealed with another key, and what is no message is counted and changes nothing; a key that all have been
// told of later joins them.
func TestBadDatagrams(t *testing.T) {
	all := addresses(t, 2)
	one, two := run(t, 0, all, "one key"), run(t, 1, all, "another key")
	stranger, err := net.Dial("udp", all[0])
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for range 10 {
		_, _ = stranger.Write(Seal([]byte("one key"), whole.Append(nil)))
	}
	eventually(t, "they are counted", func() bool {
		d := one.Snapshot().Dropped
		return d["seal"] > 1 && d["stranger"] == 10
	})
	if s := one.Snapshot(); s.Taken != 0 || one.has() != 0 {
		t.Errorf("%+v, %d slots", s, one.has())
	}
	two.Configure(Config{Name: "gw-1", Listen: all[1], Peers: all, Key: []byte("one key"), Hold: time.Second})
	eventually(t, "they share", func() bool { return one.has()+two.has() == 4 })
	_, _ = two.socket.WriteTo(Seal([]byte("one key"), []byte("no message")), one.socket.LocalAddr())
	eventually(t, "it is counted", func() bool { return one.Snapshot().Dropped["form"] == 1 })
}
