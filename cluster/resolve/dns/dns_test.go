package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/dns"
	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is a resolv.conf of a system that does not wait for long.
func quick(t *testing.T, lines ...string) string {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := strings.Join(append(lines, "options timeout:1 attempts:1"), "\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asking is a config that asks a server often.
func asking(t *testing.T, server string) dns.Config {
	return dns.Config{Name: "users.internal", Port: 6001, Server: server, MinTTL: 100 * time.Millisecond, ResolvConf: quick(t)}
}

// look asks once.
func look(t *testing.T, c dns.Config) (text string, ttl time.Duration) {
	t.Helper()
	all, ttl, err := dns.New(c).Look(t.Context())
	var lines []string
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("%s*%d", e.Address, e.Weight))
	}
	slices.Sort(lines)
	text = strings.Join(lines, " ")
	switch {
	case errors.Is(err, resolve.ErrNone):
		text += "none: " + strings.TrimPrefix(err.Error(), resolve.ErrNone.Error()+": ")
	case err != nil:
		text += " error: " + err.Error()
	}
	return text, ttl
}

// unweighed leaves the weights of SRV out, which the kit does not set.
type unweighed struct{ *dns.Resolver }

func (u unweighed) Run(ctx context.Context, tell resolve.Tell) {
	u.Resolver.Run(ctx, func(all []rpc.Endpoint, err error) {
		for i := range all {
			if all[i].Weight == 1 {
				all[i].Weight = 0
			}
		}
		tell(all, err)
	})
}

// serve answers questions over UDP and TCP on one port of the loopback interface. An answer of nil is none at all.
func serve(t *testing.T, answer func(network string, q mdns.Question) *mdns.Msg) (address string) {
	t.Helper()
	var packets net.PacketConn
	var streams net.Listener
	for range 20 { // the port of the one may be taken for the other
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			break
		}
		_ = packets.Close()
	}
	for _, s := range []*mdns.Server{{PacketConn: packets}, {Listener: streams}} {
		network := "udp"
		if s.Listener != nil {
			network = "tcp"
		}
		s.Handler = mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
			if m := answer(network, q.Question[0]); m != nil {
				asked := m.Question
				if m.SetReply(q); len(asked) > 0 {
					m.Question = asked
				}
				_ = w.WriteMsg(m)
			}
		})
		began, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(began) }
		go func() {
			defer close(ended)
			_ = s.ActivateAndServe()
		}()
		<-began
		t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	}
	return packets.LocalAddr().String()
}

// says is an answer with these records.
func says(records ...string) *mdns.Msg {
	m := &mdns.Msg{MsgHdr: mdns.MsgHdr{RecursionAvailable: true}}
	for _, text := range records {
		rr, err := mdns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// code is an answer with a code. SetReply would clear it.
func code(t *testing.T, rcode int) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(mdns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			data, _ := new(mdns.Msg).SetRcode(q, rcode).Pack()
			_, _ = c.WriteTo(data, from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-ended })
	return c.LocalAddr().String()
}

// An answer that does not fit into a datagram is asked for again over TCP, and taken whole.
func TestTruncated(t *testing.T) {
	server := serve(t, func(network string, q mdns.Question) *mdns.Msg {
		if network == "udp" {
			m := says()
			m.Truncated = true
			return m
		}
		var all []string
		for i := range 500 {
			all = append(all, fmt.Sprintf("%s 60 IN A 10.0.%d.%d", q.Name, i/250, i%250))
		}
		return says(all...)
	})
	all, _, err := dns.New(asking(t, server)).Look(t.Context())
	if err != nil || len(all) != 500 {
		t.Errorf("%d endpoints, %v", len(all), err)
	}
}

// A server that is broken, gone, silent, or that knows nothing is no word on the name: the next one is asked, and with none left it is a failure.
func TestNextServer(t *testing.T) {
	good := serve(t, func(_ string, q mdns.Question) *mdns.Msg { return says(q.Name + " 60 IN A 10.0.0.1") })
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, bad := range map[string]string{
		"SERVFAIL": code(t, mdns.RcodeServerFailure), "REFUSED": code(t, mdns.RcodeRefused), "gone": gone.LocalAddr().String(),
		"silent": serve(t, func(string, mdns.Question) *mdns.Msg { return nil }),
		"lame":   serve(t, func(string, mdns.Question) *mdns.Msg { return &mdns.Msg{} }),
		"other question": serve(t, func(string, mdns.Question) *mdns.Msg {
			m := says("evil. 60 IN A 10.6.6.6")
			m.Question = []mdns.Question{{Name: "evil.", Qtype: mdns.TypeA, Qclass: mdns.ClassINET}}
			return m
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := look(t, asking(t, bad)); !strings.Contains(got, "error: A users.internal. at "+bad) {
				t.Errorf("alone: %q", got)
			}
			all, _, err := dns.New(asking(t, bad)).LookAt(t.Context(), bad, good)
			if err != nil || len(all) != 1 || all[0].Address != "10.0.0.1:6001" {
				t.Errorf("with another: %v, %v", all, err)
			}
		})
	}
}

// A short name is looked up below the search domains as the system does it, one that ends in a dot is not; a failure ends the search.
func TestSearch(t *testing.T) {
	var fails atomic.Bool
	server := serve(t, func(_ string, q mdns.Question) *mdns.Msg {
		switch {
		case q.Name == "users.b.test.":
			return says(q.Name + " 60 IN A 10.0.0.2")
		case q.Name == "users.x." && q.Qtype == mdns.TypeA:
			return says(q.Name + " 60 IN A 10.0.0.3")
		case fails.Load() && q.Name == "users.a.test.":
			return nil
		}
		return says()
	})
	c := asking(t, server)
	c.ResolvConf = quick(t, "search a.test b.test")
	for name, want := range map[string]string{
		"users":  "10.0.0.2:6001*0",
		"users.": "none: users. has no record of type AAAA", "users.x": "10.0.0.3:6001*0",
	} {
		c.Name = name
		if got, _ := look(t, c); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	fails.Store(true)
	c.Name = "users"
	if got, _ := look(t, c); !strings.Contains(got, "error: A users.a.test. at") || strings.Contains(got, "10.0.0.2") {
		t.Errorf("where the first domain cannot be asked: %q", got)
	}
}

// A resolv.conf that is not there is a failure that names it, and one that changes is followed.
func TestResolvConf(t *testing.T) {
	c := dns.Config{Name: "users.internal", Port: 1, ResolvConf: t.TempDir() + "/none"}
	if got, _ := look(t, c); !strings.Contains(got, "which DNS server is to be asked?") {
		t.Errorf("%q", got)
	}
	if err := os.WriteFile(c.ResolvConf, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := look(t, c); strings.Contains(got, "which DNS server") {
		t.Errorf("%q", got)
	}
}

// A target whose addresses cannot be had keeps those that it had; one that never had any is left out and told; the others are taken.
func TestTargetFails(t *testing.T) {
	var bad atomic.Pointer[string]
	none := ""
	bad.Store(&none)
	server := serve(t, func(_ string, q mdns.Question) *mdns.Msg {
		switch {
		case q.Qtype == mdns.TypeSRV:
			return says(q.Name+" 1 IN SRV 0 5 1 one.test.", q.Name+" 1 IN SRV 0 5 2 two.test.")
		case q.Name == *bad.Load():
			return nil
		case q.Name == "one.test.":
			return says(q.Name + " 1 IN A 10.0.0.1")
		}
		return says(q.Name + " 1 IN A 10.0.0.2")
	})
	c := asking(t, server)
	c.Name, c.Port = "_t._tcp.test.", 0
	endpoints := func(r *dns.Resolver) (string, error) {
		all, _, err := r.Look(t.Context())
		var text []string
		for _, e := range all {
			text = append(text, e.Address)
		}
		return strings.Join(text, " "), err
	}
	one := "one.test."
	bad.Store(&one)
	r := dns.New(c)
	if got, err := endpoints(r); got != "10.0.0.2:2" || err == nil || !strings.Contains(err.Error(), "A one.test. at") {
		t.Errorf("at first: %s, %v", got, err)
	}
	bad.Store(&none)
	if got, err := endpoints(r); got != "10.0.0.1:1 10.0.0.2:2" || err != nil {
		t.Errorf("whole: %s, %v", got, err)
	}
	bad.Store(&one)
	for range 2 {
		if got, err := endpoints(r); got != "10.0.0.1:1 10.0.0.2:2" || err == nil {
			t.Errorf("later: %s, %v", got, err)
		}
	}
}

// What came along with SRV records is not asked for again; of a target with both kinds of addresses A is taken; a negative answer is relied
// upon for as long as its zone says.
func TestWhatComesAlong(t *testing.T) {
	server := serve(t, func(_ string, q mdns.Question) *mdns.Msg {
		if q.Qtype != mdns.TypeSRV {
			m := says()
			rr, _ := mdns.NewRR("test. 90 IN SOA ns.test. who.test. 1 2 3 4 33")
			m.Ns = append(m.Ns, rr)
			return m
		}
		m := says(q.Name + " 70 IN SRV 0 5 1 One.test.")
		m.Extra = says("one.test. 60 IN AAAA fd00::1", "one.test. 50 IN A 10.0.0.1", "one.test. 40 IN A 10.0.0.2").Answer
		return m
	})
	c := asking(t, server)
	c.Name, c.Port = "_t._tcp.test.", 0
	if got, ttl := look(t, c); got != "10.0.0.1:1*5 10.0.0.2:1*5" || ttl != 40*time.Second {
		t.Errorf("%s for %v", got, ttl)
	}
	c.Name, c.Port = "none.test.", 1
	if got, ttl := look(t, c); !strings.HasPrefix(got, "none") || ttl != 33*time.Second {
		t.Errorf("%s for %v", got, ttl)
	}
}

// An answer is asked for anew when its TTL is over, and a slow server holds nothing up: what it says in the end is taken.
func TestTTLIsHonoured(t *testing.T) {
	var questions, last atomic.Int64
	server := serve(t, func(_ string, q mdns.Question) *mdns.Msg {
		n := questions.Add(1)
		if n == 3 {
			time.Sleep(300 * time.Millisecond) // within the second that is waited
		}
		last.Store(n)
		return says(fmt.Sprintf("%s 0 IN A 10.0.0.%d", q.Name, min(n, 4)))
	})
	h := resolvetest.Listen(t, dns.New(asking(t, server)))
	h.Names(rpc.Endpoint{Address: "10.0.0.4:6001", Name: "10.0.0.4:6001"})
	long := serve(t, func(_ string, q mdns.Question) *mdns.Msg { return says(q.Name + " 3600 IN A 10.0.0.1") })
	once := resolvetest.Listen(t, dns.New(asking(t, long)))
	once.Names(rpc.Endpoint{Address: "10.0.0.1:6001", Name: "10.0.0.1:6001"})
	for begun := questions.Load(); questions.Load() < begun+5; time.Sleep(10 * time.Millisecond) { // half a second of the other one
	}
	if n := once.Told(); n != 1 {
		t.Errorf("an answer that holds for an hour was asked for %d times", n)
	}
}
