//go:build linux

package upgrade

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// What each kind of connection sees of a replacement, with the replicas kept so that the calls under way are the same workers'.
func TestConnections(t *testing.T) {
	dir := filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:"))
	local, gone, secret := "unix:"+filepath.Join(dir, "c"), peertest.FreePort(t), peertest.FreePort(t)
	ca := testcert.NewCA(t, "authority")
	cert, key := ca.Sign(t, []string{"127.0.0.1"}).Write(t, dir, "server")
	secure := fmt.Sprintf("{address: %q, tls: {cert_file: %q, key_file: %q}}", secret, cert, key)
	config := func(h *host, listen ...string) string {
		return fmt.Sprintf("drain: {timeout: 40s}\ndefaults: {timeout: 30s}\nlisten: [%s]\nservices:\n  Kinds: {idl: %s, upstream: %s}\n",
			strings.Join(listen, ", "), peertest.File("kinds.thrift"), workers(2, "0", ", adopt: true"))
	}
	h := newHost(t, func(h *host) string { return config(h, h.front, local, gone, secure) })
	defer h.end()
	pids := h.awaitReplicas(2)

	silent, spoken, unix, removed, busyRemoved := rawDial(t, h.front), rawDial(t, h.front), rawDial(t, local), rawDial(t, gone), rawDial(t, gone)
	for _, c := range []*raw{spoken, unix, removed} {
		c.call("echoString", 0, "before")
	}
	framed, hidden, busyHidden := rawDial(t, h.front), rawDialTLS(t, secret, ca), rawDialTLS(t, secret, ca)
	framed.frames()
	framed.call("echoString", 0, "before")
	hidden.call("ping", 0, nil)
	kept := h.keepHTTP()
	kept()
	half, busy, oneway := rawDial(t, h.front), rawDial(t, h.front), rawDial(t, h.front)
	message := half.message("echoString", strings.Repeat("half", 1000))
	half.write(message[:1234])
	const millis = 5000 // longer than what follows takes until the next program serves
	busyRemoved.write(busyRemoved.message("sleep", millis))
	busyHidden.write(busyHidden.message("sleep", millis))
	oneway.write(oneway.remember("kept", millis))
	busy.write(busy.message("sleep", millis))
	busy.write(busy.message("echoString", "pipelined"))
	third := busy.message("echoString", "cut")
	busy.write(third[:9])
	peertest.Eventually(t, "the calls are taken", func() bool { return h.taken() >= 4 })
	refused := h.knock()

	h.write(config(h, h.front, local, secure))
	h.replace(pids...)
	for name, check := range map[string]func(){
		"new connections": func() {
			if n, err := refused(); err != nil {
				t.Errorf("one of %d: %v", n, err)
			}
		},
		"a kept HTTP connection at admin":    func() { kept() },
		"a connection that has never spoken": func() { silent.call("echoString", 0, "after") },
		"a connection that speaks unframed":  func() { spoken.call("echoString", 0, "after") },
		"a connection that speaks framed":    func() { framed.call("echoString", 0, "after") },
		"a connection over a unix socket":    func() { unix.call("echoString", 0, "after") },
		"half a request":                     func() { half.write(message[1234:]); half.answer(1, 0) },
		"a call under way, one behind it, and the beginning of a third": func() {
			busy.answer(1, 0)
			busy.answer(2, 0)
			busy.write(third[9:])
			busy.answer(3, 0)
		},
		"a oneway under way": func() {
			oneway.call("ping", 0, nil)
			peertest.Eventually(t, "it was done", func() bool { return oneway.remembered("kept") })
		},
		"a listener that the next config does not have":                   func() { removed.closed() },
		"a listener that the next config does not have, a call under way": func() { busyRemoved.answer(1, 0); busyRemoved.closed() },
		"a connection over TLS":                                           func() { hidden.closed() },
		"a connection over TLS, a call under way":                         func() { busyHidden.answer(1, 0); busyHidden.closed() },
		"a new connection over TLS":                                       func() { rawDialTLS(t, secret, ca).call("ping", 0, nil) },
	} {
		t.Run(name, func(t *testing.T) { check() })
	}
}

// keepHTTP returns a function that asks the admin site something over a connection that it keeps, as browsers and scrapers do.
func (h *host) keepHTTP() (ask func()) {
	keeping := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	h.Cleanup(keeping.CloseIdleConnections)
	return func() {
		r, err := keeping.Get("http://" + h.admin + "/livez")
		if err != nil {
			h.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			h.Errorf("GET /livez: %s", r.Status)
		}
	}
}

// knock connects again and again, a new connection for each call, until what it returns is called: how many there were, and what went wrong.
func (h *host) knock() (stop func() (int64, error)) {
	ctx, cancel := context.WithCancel(h.Context())
	var n atomic.Int64
	var failed atomic.Value
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				n.Add(1)
				if err := h.callOnce(); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	return func() (int64, error) {
		cancel()
		all.Wait()
		err, _ := failed.Load().(error)
		return n.Load(), err
	}
}

// callOnce connects, makes one call, and closes.
func (h *host) callOnce() error {
	c, err := net.Dial("tcp", h.front)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := &raw{T: h.T, conn: c, split: splitter(h.T, transport.Buffered), kind: transport.Buffered}
	if _, err := c.Write(r.message("ping", nil)); err != nil {
		return err
	}
	m, err := r.read()
	if err == nil && m.Head.Type != wire.Reply {
		err = fmt.Errorf("answered with %+v", m.Head)
	}
	return err
}

// A call that takes longer than drain.timeout is cut short, as in a drain, and the program that is replaced says so by its exit code. Nobody
// else is harmed.
func TestCallLongerThanTheDrain(t *testing.T) {
	h := newHost(t, func(h *host) string { return "drain: {timeout: 1s}\n" + h.kinds(workers(1, "0", "")) })
	defer h.end()
	long := rawDial(t, h.front)
	long.write(long.message("sleep", 60_000))
	peertest.Eventually(t, "the call is taken", func() bool { return h.snapshot().Totals.InFlight == 1 })
	c := h.call(peertest.ThriftPy2, "buffered", 100, 5)
	before := h.up
	h.up = h.start()
	h.await(h.up)
	if m, err := long.read(); err == nil { // it may be told why before the end
		if m.Head.Type != wire.Exception {
			t.Errorf("a call that is cut is answered with %+v", m.Head)
		}
		long.closed()
	}
	if code := before.Wait(t, time.Minute); code != 1 {
		t.Errorf("the program that was replaced has exited with %d, want 1", code)
	}
	h.nothingLeft(before)
	c.more(50)
	c.unharmed()
}

// Workers that serve one connection at a time are shared while the callers move: the gateway that goes keeps none of them without a call.
func TestSerialWorkersOfAnotherOwner(t *testing.T) {
	for _, kind := range []struct{ name, flags, config string }{
		{"simple", "--kind simple", "server: simple"},
		{"gunicorn-sync", "--kind gunicorn-sync --workers=2", "server: gunicorn-sync, slots: 2"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			peertest.Require(t)
			l, at := peertest.ThriftPy2, peertest.FreePort(t)
			flags := append([]string{peertest.File("server.py"), "--library", l.Name}, strings.Fields(kind.flags)...)
			peertest.Await(t, at, transport.Buffered, peertest.Start(t, l.Python, append(flags, at)...))
			h := newHost(t, func(h *host) string { return h.kinds(fmt.Sprintf("{endpoints: [%q], %s}", at, kind.config)) })
			defer h.end()
			c := h.call(l, "buffered", 100, 4)
			for range 2 {
				h.replace()
				c.more(100)
			}
			c.unharmed()
		})
	}
}

// Slots that gateways lend each other come to the next process when the last call that the first one had taken is answered; calls wait for
// them. Where the next one dies midway the first one lends and borrows on.
func TestLentSlotsGoAlong(t *testing.T) {
	peertest.Require(t)
	l, at := peertest.ThriftPy2, peertest.FreePort(t)
	peertest.Await(t, at, transport.Buffered, peertest.Start(t, l.Python, peertest.File("server.py"), "--library", l.Name, at))
	own, other := peertest.FreeUDP(t), peertest.FreeUDP(t)
	h := newHost(t, func(h *host) string {
		return fmt.Sprintf("drain: {timeout: 30s}\ngateways: {listen: %q, peers: [%q, %q], key: a key of the test}\n", own, own, other) +
			h.kinds(fmt.Sprintf("{endpoints: [%q], server: threaded, slots: 4}", at))
	})
	defer h.end()
	c := h.call(l, "buffered", 100, 5)
	h.dies()
	c.more(50)
	long := rawDial(t, h.front)
	long.write(long.message("sleep", 3000))
	before := h.up
	h.up = h.start()
	h.await(h.up)
	c.more(200)
	long.answer(1, 0)
	if code := before.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s := h.snapshot().Gateways; s == nil || s.Arbiter == "" {
		t.Errorf("the gateways are %+v", s)
	}
	c.unharmed()
}

// Between hosts nothing can be handed over: the gateway drains. What was read is answered, each connection is closed between two calls, and
// what is written to a closed connection was never begun. So a client that knows a second gateway and makes the call again loses none.
func TestDrainBetweenHosts(t *testing.T) {
	var hosts [2]*host
	record := filepath.Join(t.TempDir(), "words")
	for i := range hosts {
		hosts[i] = newHost(t, func(h *host) string {
			l := peertest.ThriftPy2
			return "drain: {delay: 4s, timeout: 30s}\n" + h.kinds(fmt.Sprintf(
				`{run: {command: [%q, %q, --library, %s, --record, %q, "{socket}"], replicas: 1}, server: threaded}`, l.Python, peertest.File("server.py"), l.Name, record))
		})
	}
	first, second := hosts[0], hosts[1]
	defer second.end()
	under, idle := rawDial(t, first.front), rawDial(t, first.front)
	idle.call("ping", 0, nil)
	under.write(under.message("sleep", 6000))
	peertest.Eventually(t, "the call is taken", func() bool { return first.snapshot().Totals.InFlight == 1 })
	callers := first.call(peertest.ThriftPy2, "buffered", 50, 5, "--other", second.front)
	oneway := rawDial(t, first.front)
	oneway.write(oneway.remember("kept", 6000))
	first.up.Signal(t, syscall.SIGTERM)
	for _, step := range []struct {
		name  string
		check func(t *testing.T)
	}{
		{"readiness goes first", func(t *testing.T) {
			peertest.Eventually(t, "it says that it is not ready", func() bool { return first.ready() != nil })
		}},
		{"new connections are served during drain.delay", func(t *testing.T) {
			if err := first.callOnce(); err != nil {
				t.Error(err)
			}
		}},
		{"an idle connection is closed", func(t *testing.T) { idle.closed() }},
		{"a call under way is answered, then its connection is closed", func(t *testing.T) {
			under.answer(1, 0)
			under.closed()
		}},
		{"a request on a closed connection is not begun", func(t *testing.T) {
			_, _ = idle.conn.Write(idle.remember("never", 0)) // which the kernel may take: a oneway is lost without a word
			if code := first.up.Wait(t, time.Minute); code != 0 {
				t.Errorf("exit code %d", code)
			}
			other := rawDial(t, second.front)
			other.write(other.remember("again", 0))
			peertest.Eventually(t, "the second gateway serves", func() bool { return other.remembered("again") })
			if text, _ := os.ReadFile(record); strings.Contains(string(text), "never") {
				t.Error("it was")
			}
		}},
		{"a oneway under way is carried out", func(t *testing.T) {
			if text, _ := os.ReadFile(record); !strings.Contains(string(text), "kept") {
				t.Error("its worker was ended before")
			}
		}},
		{"a client that tries a second gateway loses no call", func(t *testing.T) {
			callers.more(50)
			callers.Signal(t, syscall.SIGTERM)
			callers.Wait(t, time.Minute)
			got := callers.tally()
			if len(got.Failed) > 0 || got.Again > callers.connections || got.Opened > 2*callers.connections {
				t.Errorf("%+v", got)
			}
		}},
	} {
		t.Run(step.name, step.check)
	}
}
