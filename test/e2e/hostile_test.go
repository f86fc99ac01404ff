package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// garbage is what is no message, or none that a server should see.
func garbage(random *rand.Rand) map[string][]byte {
	head := binary.AppendHead(nil, wire.Head{Name: "echoString", Type: wire.Call, Seq: 1})
	field := func(t wire.Type) []byte { return binary.AppendField(bytes.Clone(head), t, 1) }
	deep := bytes.Clone(head)
	for range 10_000 {
		deep = binary.AppendField(deep, wire.Struct, 1)
	}
	all := map[string][]byte{
		"nothing":               {},
		"zeros":                 make([]byte, 4096),
		"HTTP":                  []byte("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":                   {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3},
		"a frame of 2 GiB":      {0x7f, 0xff, 0xff, 0xff, 0x80, 1, 0, 1},
		"a frame of -1":         {0xff, 0xff, 0xff, 0xff, 0x80, 1, 0, 1},
		"version 2":             {0x80, 2, 0, 1, 0, 0, 0, 1, 'p', 0, 0, 0, 0, 0},
		"a name of 2 GiB":       {0x80, 1, 0, 1, 0x7f, 0xff, 0xff, 0xff},
		"a string of 2 GiB":     append(field(wire.String), 0x7f, 0xff, 0xff, 0xff),
		"a string of -1":        append(field(wire.String), 0xff, 0xff, 0xff, 0xff),
		"a list of 2^31-1":      append(field(wire.List), byte(wire.Struct), 0x7f, 0xff, 0xff, 0xff, 0),
		"a field of type 99":    append(bytes.Clone(head), 99, 0, 1, 0, 0),
		"10,000 nested structs": deep,
		"half a request":        message("echoString", wire.Call, 1, "half a request")[:30],
		"an answer":             message("echoString", wire.Reply, 1),
	}
	for n := range 50 {
		b := make([]byte, 1+random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		all[fmt.Sprintf("noise %d", n)] = b
	}
	return all
}

// What is no request never reaches a server, not one byte of it, and the gateway goes on.
func TestGarbageNeverReachesTheServer(t *testing.T) {
	peertest.Require(t)
	server := peertest.ThriftPy2.Serve(t, transport.Buffered)
	var connections, sent atomic.Int64
	watched := listenAnd(t, func(c net.Conn) { // between gateway and server
		connections.Add(1)
		up, err := net.Dial("tcp", server)
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, up)
		}()
		_, _ = io.Copy(io.MultiWriter(counter{&sent}, up), c) // counted before the server can answer
	})
	front := peertest.FreePort(t)
	g := peertest.StartGateway(t, config(front, fmt.Sprintf("upstream: {endpoints: [%q], server: threaded}", watched)))
	g.AwaitReady(t, "")
	c0, b0 := connections.Load(), sent.Load() // of the gateway's own look
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, bytes := range garbage(rand.New(rand.NewPCG(seed, 0))) {
		c := rawDial(t, front)
		_, _ = c.Write(bytes) // may be refused while it is written
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		for {
			m, _, err := c.read()
			if err != nil {
				if isTimeout(err) {
					t.Errorf("%s: the connection stays open", name)
				}
				break
			}
			if m.Head.Type != wire.Exception {
				t.Errorf("%s: answer %+v", name, m.Head)
			}
		}
		if connections.Load() != c0 || sent.Load() != b0 {
			t.Errorf("%s: %d connections and %d bytes reached the server", name, connections.Load()-c0, sent.Load()-b0)
			c0, b0 = connections.Load(), sent.Load()
		}
	}
	want := strings.Repeat("still here ", 1000)
	if got, err := dial(t, front, 1).EchoString(t.Context(), want); err != nil || got != want {
		t.Errorf("afterwards: %d bytes, %v", len(got), err)
	}
	if sent.Load() <= b0+int64(len(want)) {
		t.Error("the watch between gateway and server does not count")
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// A replica that does not start is told of with its last words and how it ended, and the rest runs.
func TestReplicaThatDoesNotStart(t *testing.T) {
	peertest.Require(t)
	good, bad := peertest.FreePort(t), peertest.FreePort(t)
	g := peertest.StartGateway(t, config(good, fmt.Sprintf("upstream: {run: %s, server: threaded}", run(peertest.ThriftPy, 1)))+
		fmt.Sprintf(`  Broken: {service: Kinds, idl: %s, listen: %q, upstream: {run: {command: [%q, -c, "raise SystemExit('no database at %%s' %% 'db:5432')", "{socket}"], replicas: 2}}}`,
			peertest.File("kinds.thrift"), bad, peertest.ThriftPy.Python))
	peertest.Eventually(t, "the good replica is ready and the bad ones have ended", func() bool {
		ready, told := 0, 0
		for _, r := range g.Snapshot().Replicas {
			switch {
			case r.Service == "Kinds" && r.State == "ready":
				ready++
			case r.Service == "Broken" && r.LastExit == "exit status 1" && strings.Contains(strings.Join(r.LastOutput, "\n"), "no database at db:5432"):
				told++
			}
		}
		return ready == 1 && told == 2
	})
	if err := dial(t, good, 1).Ping(t.Context()); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if err := dial(t, bad, 1).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "UNAVAILABLE") {
		t.Errorf("the bad one: %v", err)
	}
	if ok, _ := g.Ready("Kinds"); !ok {
		t.Error("not ready for the good one")
	}
}
