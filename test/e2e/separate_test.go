package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// usersService is the service of examples/users, in its own words.
func usersService() string {
	dir := filepath.Join(peertest.Root(), "examples/users")
	return fmt.Sprintf(`{idl: %s/users.thrift, upstream: {run: {command: [%q, %s/server.py, "{socket}"]}, server: threaded}}`, dir, peertest.ThriftPy2.Python, dir)
}

// Two services with IDLs of their own share an address: a call goes by the service's name before the method's, or by the method's alone
// where that fits one; a name that fits both is refused and names both. Each may have an address of its own besides.
func TestTwoServicesBehindOneAddress(t *testing.T) {
	peertest.Require(t)
	shared, own := peertest.FreePort(t), peertest.FreePort(t)
	g := peertest.StartGateway(t, fmt.Sprintf("listen: [%q]\n", shared)+config(own, fmt.Sprintf("upstream: {run: %s, server: threaded}", run(peertest.ThriftPy, 1)))+
		"  Users: "+usersService()+"\n")
	awaitReplicas(t, g, 2)
	c := rawDial(t, shared)
	for seq, one := range []struct {
		send []byte
		want string // in the answer
		typ  wire.MessageType
	}{
		{message("echoString", wire.Call, 0, "bare"), "bare", wire.Reply},
		{message("Kinds:echoString", wire.Call, 1, "named"), "named", wire.Reply},
		{number("listUsers", 2, 1), "Ada", wire.Reply},
		{number("Users:listUsers", 3, 1), "Ada", wire.Reply},
		{message("Kinds:ping", wire.Call, 4), "", wire.Reply},
		{message("Users:ping", wire.Call, 5), "", wire.Reply},
		{message("ping", wire.Call, 6), "Kinds and Users", wire.Exception},
		{message("Orders:ping", wire.Call, 7), "Orders", wire.Exception},
		{message("Users:echoString", wire.Call, 8, "elsewhere"), "", wire.Exception},
		{message("nothing", wire.Call, 9), "nothing", wire.Exception},
	} {
		c.send(one.send)
		m := c.answer(int32(seq), one.typ)
		if !strings.Contains(string(m.Body), one.want) {
			t.Errorf("call %d: answer %q, want %q in it", seq, m.Body, one.want)
		}
		if one.typ == wire.Exception && !strings.HasPrefix(text(m), "1 ") {
			t.Errorf("call %d: %s, want type 1", seq, text(m))
		}
	}
	k := dial(t, own, 1) // Kinds alone: a bare ping fits one
	if err := k.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// marked is a Go server that has taken over one method.
type marked struct{}

func (marked) EchoString(_ context.Context, v string) (string, error) { return "go: " + v, nil }

// serveMarked serves echoString alone.
func serveMarked(t *testing.T) string {
	t.Helper()
	doc, err := thriftloom.LoadBytes("part.thrift", []byte("service Kinds { string echoString(1: string value) }"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(doc.Service("Kinds"), marked{})
	if err != nil {
		t.Fatal(err)
	}
	return peertest.ServeGo(t, s)
}

// One method moves to a server in another language by a reload, and back by the next. Its callers keep their connections, get their
// answers, and no call fails; the other methods stay where they were.
func TestOneMethodMoves(t *testing.T) {
	peertest.Require(t)
	front := peertest.FreePort(t)
	upstream := fmt.Sprintf("upstream: {run: %s, server: threaded}", run(peertest.ThriftPy2, 1))
	before := config(front, upstream)
	moved := fmt.Sprintf("upstreams: {part: {endpoints: [%q], server: threaded}}\n", serveMarked(t)) +
		config(front, upstream+", methods: {echoString: {upstream: part}}")
	g := peertest.StartGateway(t, before)
	awaitReplicas(t, g, 1)
	k := dial(t, front, 4)
	pid, err := k.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	var python, golang atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				switch got, err := k.EchoString(context.Background(), "word"); {
				case err != nil:
					t.Error(err)
				case got == "word":
					python.Add(1)
				case got == "go: word":
					golang.Add(1)
				default:
					t.Errorf("got %q", got)
				}
			}
		})
	}
	more := func(n *atomic.Int64) {
		t.Helper()
		was := n.Load()
		peertest.Eventually(t, "100 more calls are served there", func() bool { return n.Load() >= was+100 })
	}
	reload := func(config string) {
		t.Helper()
		g.Write(t, config)
		if r, err := g.Reload(t.Context()); err != nil || !r.Changed || len(r.Stale) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	more(&python)
	for range 3 {
		reload(moved)
		more(&golang)
		settle(t, k, "go: word")
		reload(before)
		more(&python)
		settle(t, k, "word")
	}
	cancel()
	all.Wait()
	if now, err := k.Pid(t.Context()); err != nil || now != pid {
		t.Errorf("the other methods: process %d, %v; it was %d", now, err, pid)
	}
	t.Logf("%d calls answered by Python, %d by Go", python.Load(), golang.Load())
}

// settle checks that a call which begins now is served by the new place.
func settle(t *testing.T, k *kinds, want string) {
	t.Helper()
	if got, err := k.EchoString(t.Context(), "word"); err != nil || got != want {
		t.Errorf("after the reload: %q, %v; want %q", got, err, want)
	}
}

// When all servers of one service are dead, its callers get a prompt refusal that says so and names no address, the gateway stays ready,
// and the other service is served as before.
func TestOneServiceDown(t *testing.T) {
	peertest.Require(t)
	front, shared := peertest.FreePort(t), peertest.FreePort(t)
	address := peertest.FreePort(t)
	server := peertest.Start(t, peertest.ThriftPy2.Python, peertest.File("server.py"), address)
	peertest.Await(t, address, transport.Buffered, server)
	g := peertest.StartGateway(t, fmt.Sprintf("listen: [%q]\n", shared)+config(front, fmt.Sprintf("upstream: {endpoints: [%q], server: threaded}", address))+
		"  Users: "+usersService()+"\n")
	g.AwaitReady(t, "")
	g.AwaitReady(t, "Kinds")
	awaitReplicas(t, g, 1)
	server.Signal(t, syscall.SIGKILL)
	server.Wait(t, 10*time.Second)

	k, users := dial(t, front, 4), rawDial(t, shared)
	for n := range int32(50) {
		_, err := k.EchoI32(t.Context(), n)
		var e *thriftloom.Error
		if !errors.As(err, &e) || e.Reach != rpc.Answered || e.Peer == nil || !strings.HasPrefix(e.Peer.Message, "UNAVAILABLE: ") || strings.Contains(e.Peer.Message, "127.0.0.1") {
			t.Fatalf("call %d: %v", n, err)
		}
		users.send(message("Users:ping", wire.Call, n))
		users.answer(n, wire.Reply)
	}
	if ok, why := g.Ready(""); !ok {
		t.Errorf("not ready: %v", why)
	}
	if ok, _ := g.Ready("Kinds"); ok {
		t.Error("ready for the service whose servers are dead")
	}
	if ok, why := g.Ready("Users"); !ok {
		t.Errorf("not ready for the other service: %v", why)
	}
}
