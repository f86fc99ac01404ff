package hostile

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

func dialer() *net.Dialer { return &net.Dialer{Timeout: patience} }

func timedOut(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// A thousand connections that say nothing take what one address may have; the rest are closed at once, who is connected is answered all
// the while, and when they go there is room again.
func TestConnectionFlood(t *testing.T) {
	d := openDoor(t, "", "max_connections: 200, max_connections_per_caller: 150")
	inside := d.caller(t, forms[0])
	inside.good(t)
	var flood []net.Conn
	for range 1000 {
		c, err := dialer().Dial("tcp", d.at)
		if err != nil {
			t.Fatalf("the accept loop is gone: %v", err)
		}
		defer c.Close()
		flood = append(flood, c)
		if len(flood)%100 == 0 {
			inside.good(t)
		}
	}
	peertest.Eventually(t, "the listener has what one address may have", func() bool {
		return d.gateway.Snapshot().Listeners[0].Connections == 150
	})
	closed := 0
	for _, c := range flood[149:] { // in the order in which they were accepted
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || timedOut(err) {
			t.Fatalf("a connection beyond the bound stays open: %v", err)
		}
		closed++
	}
	if closed != 851 {
		t.Errorf("%d were closed, want 851", closed)
	}
	inside.good(t)
	for _, c := range flood {
		_ = c.Close()
	}
	peertest.Eventually(t, "there is room again", func() bool { return d.gateway.Snapshot().Listeners[0].Connections == 1 })
	d.caller(t, forms[3]).good(t)
}

// A caller that pipelines as much as it can gets its answers, in order, and takes nobody's turn: others are answered meanwhile.
func TestOneNoisyCaller(t *testing.T) {
	d := openDoor(t, "defaults: {queue: {max_calls: 64}}", "")
	noisy, quiet := d.caller(t, forms[0]), d.caller(t, forms[2])
	const calls = 5_000
	var all sync.WaitGroup
	all.Go(func() {
		for i := range calls {
			if _, err := noisy.Write(noisy.message(wire.Head{Name: "get", Seq: int32(i), Type: wire.Call}, keyed("noise"))); err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
		}
	})
	all.Go(func() {
		for i := range calls {
			_ = noisy.SetDeadline(time.Now().Add(patience))
			m, err := noisy.read()
			if err != nil {
				t.Errorf("answer %d: %v", i, err)
				return
			}
			if c := code(t, m); m.Head.Seq != int32(i) || c != "" && c != "RESOURCE_EXHAUSTED" {
				t.Errorf("answer %d: %+v %s", i, m.Head, c)
				return
			}
		}
	})
	for range 200 {
		quiet.good(t) // a refusal would fail it
	}
	all.Wait()
}

// Requests of which half has come, and answers that nobody reads, stop at max_buffered_bytes: one more is told so, and short calls pass.
func TestBufferedBytes(t *testing.T) {
	d := openDoor(t, "max_buffered_bytes: 8MiB\nmax_message_bytes: 2MiB", "stall_timeout: 1h")
	held := func() int { return d.metric(t, "thriftloom_buffered_bytes")[""] }
	for _, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			long := f.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed(strings.Repeat("x", 2_000_000)))
			var crowd []*caller
			refused := 0
			for range 12 {
				c := d.caller(t, f)
				c.good(t)
				if _, err := c.Write(long[:1_500_000]); err != nil {
					t.Fatal(err)
				}
				crowd = append(crowd, c)
			}
			good := d.caller(t, f)
			for range 10 {
				good.good(t)
			}
			peertest.Eventually(t, "so much is held that the next is refused", func() bool { return held() > 4<<20 })
			if n := held(); n > 8<<20 {
				t.Errorf("%d bytes are held", n)
			}
			for _, c := range crowd {
				if _, err := c.Write(long[1_500_000:]); err != nil {
					t.Fatal(err)
				}
				m, err := c.read()
				if err != nil {
					t.Fatal(err)
				}
				switch what := code(t, m); what {
				case "":
				case "RESOURCE_EXHAUSTED":
					refused++
				default:
					t.Errorf("answered %s", what)
				}
				c.good(t)
				_ = c.Close()
			}
			if refused == 0 {
				t.Error("no request was refused")
			}
			_ = good.Close()
			peertest.Eventually(t, "nothing is held", func() bool { return held() < 100<<10 })
		})
	}
	if d.metric(t, "thriftloom_buffered_refused_total")[""] == 0 {
		t.Error("no refusal is counted")
	}
}

// Callers that ask for long answers and read none are let go of after stall_timeout at the latest, and what waited for them is free.
func TestSlowReaders(t *testing.T) {
	d := openDoor(t, "max_buffered_bytes: 16MiB\nmax_message_bytes: 2MiB\ndefaults: {queue: {max_wait: 1m}}", "stall_timeout: 2s")
	held := func() int { return d.metric(t, "thriftloom_buffered_bytes")[""] }
	key := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), strings.Repeat("x", 1_900_000)))
	const slow = 12
	for range slow {
		c := d.caller(t, forms[0])
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		go func() { // until it is closed
			for i := range 12 {
				if _, err := c.Write(c.message(wire.Head{Name: "get", Seq: int32(i), Type: wire.Call}, key)); err != nil {
					return
				}
			}
		}()
	}
	good := d.caller(t, forms[2])
	for range 20 {
		good.good(t)
		if n := held(); n > 16<<20 {
			t.Errorf("%d bytes are held", n)
		}
		time.Sleep(20 * time.Millisecond)
	}
	peertest.Eventually(t, "what waited for them is free", func() bool { return held() < 1<<20 })
	if n := d.gateway.Snapshot().Listeners[0].Connections; n > slow {
		t.Errorf("%d connections: nobody was let go of", n) // some owe nothing: they were refused in words that fit into a socket's buffer
	}
	good.good(t)
}
