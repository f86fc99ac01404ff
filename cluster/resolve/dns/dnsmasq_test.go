//go:build unix

package dns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/resolve/dns"
	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/rpc"
)

// records are what dnsmasq needs for addresses of users.internal.
func records(all []rpc.Endpoint, ttl int) (lines []string) {
	for _, e := range all {
		host, _, _ := strings.Cut(e.Address, ":")
		lines = append(lines, fmt.Sprintf("host-record=users.internal,%s,%d", host, ttl))
	}
	return lines
}

// Addresses that dnsmasq gives pass the kit.
func TestAddresses(t *testing.T) {
	first := []rpc.Endpoint{{Address: "127.0.0.1:6001"}}
	resolvetest.Run(t, func(t *testing.T) resolvetest.Source {
		server := peertest.StartDNS(t, records(first, 0)...)
		return resolvetest.Source{
			Plain: true, Resolver: dns.New(asking(t, server.Address)), Set: func(all []rpc.Endpoint) { server.Set(records(all, 0)...) },
			Break: server.Stop, Mend: func() { server.Set(records(first, 0)...) },
		}
	})
}

// SRV records that dnsmasq gives, with the addresses of their targets, pass the kit.
func TestServices(t *testing.T) {
	lines := func(all []rpc.Endpoint) (lines []string) {
		for i, e := range all {
			host, port, _ := strings.Cut(e.Address, ":")
			lines = append(lines,
				fmt.Sprintf("srv-host=_thrift._tcp.users.internal,users-%d.internal,%s,1,0", i, port),
				fmt.Sprintf("srv-host=_thrift._tcp.users.internal,spare.internal,%s,2,9", port), // used by nobody
				fmt.Sprintf("host-record=users-%d.internal,%s,0", i, host), "host-record=spare.internal,127.0.0.9,0")
		}
		return lines
	}
	// Weight 0 of all records says that there is nothing to choose: 1.
	resolvetest.Run(t, func(t *testing.T) resolvetest.Source {
		first := []rpc.Endpoint{{Address: "127.0.0.1:6001"}}
		server := peertest.StartDNS(t, lines(first)...)
		c := asking(t, server.Address)
		c.Name, c.Port = "_thrift._tcp.users.internal", 0
		return resolvetest.Source{
			Plain: true, Resolver: unweighed{dns.New(c)}, Set: func(all []rpc.Endpoint) { server.Set(lines(all)...) },
			Break: server.Stop, Mend: func() { server.Set(lines(first)...) },
		}
	})
}

// What dnsmasq answers to each type of question, and for how long: the least TTL of all records on the way.
func TestLook(t *testing.T) {
	server := peertest.StartDNS(t,
		"host-record=four.internal,10.0.0.4,40", "host-record=six.internal,fd00::6,60", "host-record=dual.internal,10.0.0.4,fd00::6,50",
		"cname=alias.internal,four.internal,20", "cname=late.internal,four.internal,300",
		"srv-host=_a._tcp.internal,four.internal,1,10,2000", "srv-host=_a._tcp.internal,six.internal,2,10,500", "srv-host=_a._tcp.internal,dual.internal,3,10,0",
		"srv-host=_a._tcp.internal,nobody.internal,4,10,9", "srv-host=_a._tcp.internal,dual.internal,5,20,1",
		"srv-host=_gone._tcp.internal,nobody.internal,4,10,9", "txt-record=text.internal,hello",
		"local-ttl=45",
	)
	for _, c := range []struct {
		name, kind, want string
		ttl              int
	}{
		{"four.internal", dns.Auto, "10.0.0.4:7*0", 40},
		{"four.internal.", dns.A, "10.0.0.4:7*0", 40},
		{"four.internal", dns.AAAA, "none: four.internal. has no record of type AAAA", -1},
		{"six.internal", dns.Auto, "[fd00::6]:7*0", -1},
		{"six.internal", dns.Both, "[fd00::6]:7*0", -1},
		{"dual.internal", dns.Auto, "10.0.0.4:7*0", 50}, // a host that has both is one server
		{"dual.internal", dns.Both, "10.0.0.4:7*0 [fd00::6]:7*0", 50},
		{"dual.internal", dns.AAAA, "[fd00::6]:7*0", 50},
		{"alias.internal", dns.Auto, "10.0.0.4:7*0", 20},
		{"late.internal", dns.Auto, "10.0.0.4:7*0", 40},
		{"text.internal", dns.Auto, "none: text.internal. has no record of type AAAA", -1},
		{"nobody.internal", dns.Auto, "none: there is no name nobody.internal. (NXDOMAIN)", -1},
		{"_a._tcp.internal", dns.SRV, "10.0.0.4:1*1000 10.0.0.4:3*0 [fd00::6]:2*250", -1},
		{"_gone._tcp.internal", dns.Auto, "none: no target of the SRV records of _gone._tcp.internal. has an address", -1},
		{"four.internal", dns.SRV, "none: four.internal. has no record of type SRV", -1},
	} {
		port := 7
		if c.kind == dns.SRV || strings.HasPrefix(c.name, "_") {
			port = 0
		}
		got, ttl := look(t, dns.Config{Name: c.name, Port: port, Type: c.kind, Server: server.Address, ResolvConf: quick(t)})
		if got != c.want || c.ttl >= 0 && ttl != time.Duration(c.ttl)*time.Second {
			t.Errorf("%s %s: %q for %v, want %q for %ds", c.kind, c.name, got, ttl, c.want, c.ttl)
		}
	}
}
