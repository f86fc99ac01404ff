package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// peer serves a script on a loopback port until the test ends, or until stop.
func peer(t *testing.T, script func(transport.Message) fakepeer.Answer) (address string, p *fakepeer.Peer, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &fakepeer.Peer{Script: script}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Serve(l)
	}()
	var once sync.Once
	stop = func() { once.Do(func() { l.Close() }) }
	t.Cleanup(func() { stop(); <-done })
	return l.Addr().String(), p, stop
}

// named answers every call with a result that says who answered.
func named(name string) func(transport.Message) fakepeer.Answer {
	body := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 0), name))
	return func(transport.Message) fakepeer.Answer { return fakepeer.Answer{Body: body} }
}

// running is a gateway over a folder.
type running struct {
	*gateway.Gateway
	t    *testing.T
	dir  string
	logs *bytes.Buffer
	opts gateway.Options
	end  context.CancelFunc
	done chan error
}

const usersIDL = "service Users { string getUser(1: i64 id), string report(), string ping() }"
const ordersIDL = "service Orders { string getOrder(1: i64 id), string ping() }"

// start runs a gateway with that config.
func start(t *testing.T, config string) *running {
	t.Helper()
	r := prepare(t)
	r.write("thriftloom.yaml", config)
	r.begin()
	return r
}

// prepare returns a gateway that does not run yet, over a folder with two IDLs.
func prepare(t *testing.T) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), logs: new(bytes.Buffer), done: make(chan error, 1)}
	r.opts = gateway.Options{Version: "test", Env: os.LookupEnv, Log: slog.New(slog.DiscardHandler)}
	r.write("users.thrift", usersIDL)
	r.write("orders.thrift", ordersIDL)
	return r
}

// begin runs the gateway until the test ends.
func (r *running) begin() {
	t := r.t
	t.Helper()
	l := gateway.Load(filepath.Join(r.dir, "thriftloom.yaml"), nil)
	for _, m := range l.Mistakes {
		t.Error(m)
	}
	if t.Failed() {
		t.FailNow()
	}
	r.Gateway = gateway.New(l.Config, r.opts)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	go func() { r.done <- r.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
}

func (r *running) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// caller is a raw client.
type caller struct {
	t *testing.T
	net.Conn
	seq int32
}

func dial(t *testing.T, address string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &caller{t: t, Conn: c}
}

// call makes one call without arguments and returns its result, or the exception as "TYPE text".
func (c *caller) call(method string) string {
	c.t.Helper()
	return c.callWith(method, []byte{0})
}

func (c *caller) callWith(method string, args []byte) string {
	c.t.Helper()
	c.seq++
	if _, err := c.Write(append(binary.AppendHead(nil, wire.Head{Name: method, Seq: c.seq, Type: wire.Call}), args...)); err != nil {
		c.t.Fatal(err)
	}
	split, err := transport.NewSplitter(transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, wire.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	var buf []byte
	for {
		m, used, _, err := split.Split(buf)
		if err != nil {
			c.t.Fatal(err)
		}
		if used > 0 {
			if m.Head.Seq != c.seq {
				c.t.Errorf("sequence id %d, want %d", m.Head.Seq, c.seq)
			}
			return text(m)
		}
		chunk := make([]byte, 4096)
		n, err := c.Read(chunk)
		if err != nil {
			return "closed"
		}
		buf = append(buf, chunk[:n]...)
	}
}

func text(m transport.Message) string {
	if m.Head.Type == wire.Exception {
		typ, text, _ := binary.ParseApplication(m.Body, wire.Limits{})
		return fmt.Sprint(typ, " ", text)
	}
	r := binary.Reader{Buf: m.Body}
	if t, _, err := r.Field(); err != nil || t != wire.String {
		return "void"
	}
	s, _ := r.Bytes()
	return string(s)
}

func (c *caller) expect(method, want string) {
	c.t.Helper()
	if got := c.call(method); got != want && (!strings.HasSuffix(want, "…") || !strings.HasPrefix(got, strings.TrimSuffix(want, "…"))) {
		c.t.Errorf("%s: %q, want %q", method, got, want)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// Two services behind one listener are told apart by the multiplexed name, else by the method's; each is also served at its own address.
func TestTwoServicesBehindOneListener(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	orders, _, _ := peer(t, named("orders"))
	r := start(t, fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
  Orders: {idl: orders.thrift, timeout: 5s, unknown_methods: refuse, listen: "127.0.0.1:0", upstream: {endpoints: [%q]}}
`, users, orders))
	var shared, own string
	for _, l := range r.Snapshot().Listeners {
		if len(l.Services) == 2 {
			shared = l.Address
		} else {
			own = l.Address
		}
	}
	c := dial(t, shared)
	c.expect("getUser", "users")
	c.expect("getOrder", "orders")
	c.expect("Orders:ping", "orders")
	c.expect("Users:ping", "users")
	c.expect("ping", `1 UNKNOWN_METHOD: gateway: "ping" fits Users and Orders; call it by service:method…`)
	c.expect("nothing", `1 UNKNOWN_METHOD: gateway: no service here has a method "nothing"…`)
	c.expect("Nobody:ping", `1 UNKNOWN_METHOD: gateway: no service is named "Nobody" here…`)
	c = dial(t, own)
	c.expect("ping", "orders")
	c.expect("nothing", `1 UNKNOWN_METHOD: Orders: no method "nothing"…`)
}

// A method is moved to another upstream and back by reload; a caller on an open connection notices nothing else.
func TestMethodMovesByReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	reports, _, _ := peer(t, named("reports"))
	config := func(method string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
upstreams: {reports: {endpoints: [%q]}}
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}, methods: {report: {%s}}}
`, reports, users, method)
	}
	r := start(t, config(""))
	c := dial(t, r.Addresses()[0])
	for range 3 {
		c.expect("report", "users")
		r.write("thriftloom.yaml", config("upstream: reports"))
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.expect("report", "reports")
		c.expect("getUser", "users")
		r.write("thriftloom.yaml", config(""))
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.Addresses()); n != 1 {
		t.Errorf("%d listeners after the reloads", n)
	}
}

// A service whose section or IDL is broken keeps its last good version and says so; the others change.
func TestBrokenServiceKeepsItsLastGoodVersion(t *testing.T) {
	first, _, _ := peer(t, named("first"))
	second, _, _ := peer(t, named("second"))
	config := func(orders, users string) string {
		return fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}%s}
  Orders: {idl: orders.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
`, first, users, orders)
	}
	r := start(t, config(first, ""))
	c := dial(t, r.Addresses()[0])
	r.write("users.thrift", "service Users { strin getUser() }")
	r.write("thriftloom.yaml", config(second, ""))
	result, err := r.Reload(t.Context())
	if err != nil || len(result.Stale) != 1 || result.Stale[0] != "Users" || len(result.Mistakes) == 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	c.expect("getUser", "first")
	c.expect("getOrder", "second")
	if s := r.Snapshot().Config.Stale; len(s) != 1 || s[0] != "Users" {
		t.Errorf("stale in the snapshot: %v", s)
	}
	r.write("users.thrift", usersIDL)
	r.write("thriftloom.yaml", config(first, ", tmieout: 3s"))
	if result, err = r.Reload(t.Context()); err != nil || len(result.Stale) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	c.expect("getOrder", "first")
	r.write("thriftloom.yaml", "services: [")
	if _, err = r.Reload(t.Context()); err == nil {
		t.Error("a file that is no YAML was taken over")
	}
	c.expect("getUser", "first")
	r.write("thriftloom.yaml", config(first, ""))
	if result, err = r.Reload(t.Context()); err != nil || len(result.Stale) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
}

// Listeners come and go by reload; a port in use is named, and nothing is changed by it.
func TestListenersByReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	another := free.Addr().String()
	free.Close()
	config := func(listen string) string {
		return fmt.Sprintf("listen: [%s]\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", listen, users)
	}
	r := start(t, config("127.0.0.1:0"))
	c := dial(t, r.Addresses()[0])
	c.expect("getUser", "users")
	r.write("thriftloom.yaml", config("127.0.0.1:0, "+taken.Addr().String()))
	if _, err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("port in use: %v", err)
	}
	c.expect("getUser", "users")
	r.write("thriftloom.yaml", config("127.0.0.1:0, "+another))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	dial(t, another).expect("getUser", "users")
	r.write("thriftloom.yaml", config("127.0.0.1:0"))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the listener", func() bool {
		late, err := net.Dial("tcp", another)
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	c.expect("getUser", "users")
}

// With all endpoints of one service dead the gateway stays ready, the other service is served, and calls of the dead one are refused
// at once by its configured name.
func TestOneServiceDeadIsItsOwnFailure(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	orders, _, kill := peer(t, named("orders"))
	r := start(t, fmt.Sprintf(`
listen: 127.0.0.1:0
services:
  Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
  Orders: {idl: orders.thrift, timeout: 5s, upstream: {endpoints: [%q]}}
`, users, orders))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	kill()
	c := dial(t, r.Addresses()[0])
	eventually(t, "a refusal", func() bool { return strings.HasPrefix(c.call("getOrder"), "6 UNAVAILABLE: upstream Orders: ") })
	if answer := c.call("getOrder"); strings.Contains(answer, "127.0.0.1") {
		t.Errorf("a caller was told an address: %s", answer)
	}
	c.expect("getUser", "users")
	if ok, why := r.Ready(""); !ok {
		t.Errorf("not ready: %v", why)
	}
	if ok, _ := r.Ready("Orders"); ok {
		t.Error("Orders says that it is ready")
	}
	if ok, _ := r.Ready("Users"); !ok {
		t.Error("Users says that it is not ready")
	}
}

// A handler that ends without a reply gives an exception on a connection that stays open, or, with on_crash: close, what ThriftPy does.
func TestOnCrash(t *testing.T) {
	crash, _, _ := peer(t, func(m transport.Message) fakepeer.Answer { return fakepeer.Answer{Close: m.Head.Name == "report"} })
	for kind, want := range map[string]string{"exception": "6 HANDLER_FAILED: Users.report: …", "close": "closed"} {
		r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, on_crash: %s, upstream: {endpoints: [%q]}}}\n", kind, crash))
		c := dial(t, r.Addresses()[0])
		c.expect("report", want)
		if kind == "exception" {
			c.expect("getUser", "void")
		}
	}
}

// At the end every call that was accepted is answered, and Run returns nil.
func TestDrainAnswersWhatWasAccepted(t *testing.T) {
	slow, p, _ := peer(t, func(transport.Message) fakepeer.Answer { return fakepeer.Answer{After: 300 * time.Millisecond} })
	r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q], server: threaded, slots: 8}}}\n", slow))
	var calls sync.WaitGroup
	for range 8 {
		c := dial(t, r.Addresses()[0])
		calls.Go(func() { c.expect("getUser", "void") })
	}
	eventually(t, "eight calls at work", func() bool { return p.Working.Load() == 8 })
	r.end()
	calls.Wait()
	err := <-r.done
	r.done <- err
	if err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Scraping and snapshots go on while the config is reloaded.
func TestScrapeDuringReload(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", users))
	var scrapes sync.WaitGroup
	for range 4 {
		scrapes.Go(func() {
			for range 20 {
				if _, err := r.Registry().Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if _, err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	scrapes.Wait()
}

// Scale is refused where the gateway runs no replicas, and for a service that it does not have.
func TestScaleRefused(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", users))
	if _, err := r.Scale("Users", 3); err == nil || !strings.Contains(err.Error(), "run") {
		t.Errorf("endpoints: %v", err)
	}
	if _, err := r.Scale("Nobody", 3); err == nil {
		t.Error("unknown service: no error")
	}
}

// What a probe or a fence asks is answered here: no worker and no metric sees it.
func TestControlMethodsAreAnsweredHere(t *testing.T) {
	users, p, _ := peer(t, named("users"))
	r := start(t, fmt.Sprintf("listen: 127.0.0.1:0\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", users))
	eventually(t, "readiness", func() bool { ok, _ := r.Ready(""); return ok })
	before := p.Connections.Load()
	dial(t, r.Addresses()[0]).expect("__thriftloom_fence", "1 UNKNOWN_METHOD…")
	if after := p.Connections.Load(); after != before || r.Snapshot().Totals.Calls != 0 {
		t.Errorf("%d connections more, %d calls", after-before, r.Snapshot().Totals.Calls)
	}
}

// The gateway answers on the epoll engine as on the other, and says nothing where there is none.
func TestEngine(t *testing.T) {
	users, _, _ := peer(t, named("users"))
	for _, engine := range []string{"auto", "net", "epoll"} {
		r := start(t, fmt.Sprintf("engine: %s\nlisten: \"127.0.0.1:0\"\nservices: {Users: {idl: users.thrift, timeout: 5s, upstream: {endpoints: [%q]}}}\n", engine, users))
		eventually(t, "readiness", func() bool { ok, _ := r.Ready("Users"); return ok })
		c := dial(t, r.Addresses()[0])
		for range 100 {
			c.expect("getUser", "users")
		}
	}
}
