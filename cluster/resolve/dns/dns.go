// Package dns finds endpoints by the name of a host, or by that of a service (SRV), and asks again when what it was told is no longer to be
// relied upon: after the shortest TTL of all records that the answer rests on.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/rpc"
)

// The types of records that are asked for.
const (
	Auto = "auto" // A, or, where a name has none, AAAA: a host that has both is one server; SRV where there is no port
	A    = "a"
	AAAA = "aaaa"
	Both = "both" // A and AAAA: each address is a server
	SRV  = "srv"
)

// The defaults of a Config.
const (
	DefaultMinTTL = time.Second
	DefaultMaxTTL = 5 * time.Minute
)

// Config says what is asked, and whom. Plain values: two that are equal are one source.
type Config struct {
	// Name is that of the host, or, with SRV, of the service (_thrift._tcp.users.internal). One that does not end in a dot is looked up
	// below the search domains too, as the system does it.
	Name string
	// Port is that of the servers; 0 with SRV, which says it.
	Port int
	// Type is one of the types above. Default Auto.
	Type string
	// Server is host:port of the one server that is asked. Default those of ResolvConf, in their order.
	Server string
	// MinTTL and MaxTTL bound how long an answer is relied upon, whatever its TTL is. Default 1s and 5m.
	MinTTL, MaxTTL time.Duration
	// ResolvConf is the system's file; it is read anew each time. Default /etc/resolv.conf.
	ResolvConf string
}

// Service reports whether SRV records are asked for.
func (c Config) Service() bool {
	return c.Type == SRV || (c.Type == Auto || c.Type == "") && c.Port == 0
}

// rely is how long an answer with a TTL is relied upon.
func (c Config) rely(ttl time.Duration) time.Duration { return min(max(ttl, c.MinTTL), c.MaxTTL) }

// Resolver asks DNS.
type Resolver struct {
	config  Config
	targets map[string]answer // the last good answer of each target of SRV
}

// New returns a resolver.
func New(c Config) *Resolver {
	if c.Type == "" {
		c.Type = Auto
	}
	if c.MinTTL == 0 {
		c.MinTTL = DefaultMinTTL
	}
	if c.MaxTTL == 0 {
		c.MaxTTL = max(DefaultMaxTTL, c.MinTTL)
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	return &Resolver{config: c}
}

func (r *Resolver) String() string {
	if r.config.Service() {
		return "dns " + r.config.Name
	}
	return "dns " + net.JoinHostPort(r.config.Name, strconv.Itoa(r.config.Port))
}

// Run implements resolve.Resolver.
func (r *Resolver) Run(ctx context.Context, tell resolve.Tell) {
	var failed resolve.Backoff
	for {
		endpoints, ttl, err := r.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(endpoints, err)
		pause := r.config.rely(ttl)
		if err != nil && !errors.Is(err, resolve.ErrNone) && len(endpoints) == 0 {
			pause = max(failed.Next(), r.config.MinTTL)
		} else {
			failed.Reset()
		}
		if !resolve.Wait(ctx, pause) {
			return
		}
	}
}

// Look asks once. ttl is how long the answer may be relied upon.
func (r *Resolver) Look(ctx context.Context) (endpoints []rpc.Endpoint, ttl time.Duration, err error) {
	a, err := newAsker(r.config)
	if err != nil {
		return nil, 0, err
	}
	return r.look(ctx, a)
}

func (r *Resolver) look(ctx context.Context, a *asker) (endpoints []rpc.Endpoint, ttl time.Duration, err error) {
	if r.config.Service() {
		return r.service(ctx, a)
	}
	found, err := a.search(r.config.Name, func(name string) (answer, error) { return a.host(ctx, name, r.config.Type) })
	for _, ip := range found.addresses {
		endpoints = append(endpoints, endpoint(ip, r.config.Port, 0))
	}
	return endpoints, found.ttl, err
}

func endpoint(ip netip.Addr, port, weight int) rpc.Endpoint {
	at := netip.AddrPortFrom(ip, uint16(port)).String()
	return rpc.Endpoint{Address: at, Name: at, Weight: weight}
}

// service asks for SRV records and for the addresses of their targets: those of the lowest priority alone.
func (r *Resolver) service(ctx context.Context, a *asker) ([]rpc.Endpoint, time.Duration, error) {
	found, err := a.search(r.config.Name, func(name string) (answer, error) { return a.ask(ctx, name, dns.TypeSRV) })
	if err != nil {
		return nil, found.ttl, err
	}
	records := first(found.services)
	if len(records) > resolve.MaxEndpoints {
		return nil, 0, fmt.Errorf("%s has %d SRV records; more than %d are not taken", found.name, len(records), resolve.MaxEndpoints)
	}
	known := map[string]answer{}
	var endpoints []rpc.Endpoint
	var problems []error
	ttl, weights := found.ttl, newScale(records)
	for _, s := range records {
		host, ok := known[strings.ToLower(s.Target)]
		if !ok {
			var err error
			host, err = r.target(ctx, a, s.Target, found)
			if err != nil {
				problems = append(problems, err)
			}
			known[strings.ToLower(s.Target)] = host
			ttl = min(ttl, host.ttl)
		}
		for _, ip := range host.addresses {
			e := endpoint(ip, int(s.Port), weights.of(s))
			e.Drained = e.Weight == 0
			endpoints = append(endpoints, e)
		}
	}
	r.targets = known // of hosts that are gone nothing is kept
	err = errors.Join(problems...)
	if len(endpoints) == 0 && err == nil {
		err = fmt.Errorf("%w: no target of the SRV records of %s has an address", resolve.ErrNone, found.name)
	}
	return endpoints, ttl, err
}

// target returns the addresses of one target: those that came along, or else those that it is asked for. Where that fails they are what they
// were, so that one zone that is down takes no server of another away.
func (r *Resolver) target(ctx context.Context, a *asker, name string, found answer) (answer, error) {
	if along, ok := found.along[strings.ToLower(name)]; ok {
		return along, nil
	}
	host, err := a.host(ctx, name, Auto)
	switch {
	case err == nil:
		return host, nil
	case errors.Is(err, resolve.ErrNone):
		return answer{ttl: host.ttl}, nil
	}
	was := r.targets[strings.ToLower(name)]
	was.ttl = 0 // asked again soon
	return was, err
}

// first returns the records of the lowest priority that have a target.
func first(all []*dns.SRV) (lowest []*dns.SRV) {
	for _, s := range all {
		switch {
		case s.Target == "." || s.Port == 0: // the service is decidedly not there (RFC 2782)
		case len(lowest) == 0 || s.Priority < lowest[0].Priority:
			lowest = append(lowest[:0:0], s)
		case s.Priority == lowest[0].Priority:
			lowest = append(lowest, s)
		}
	}
	return lowest
}

// scale brings weights of 0 to 65535 within those of endpoints, 1 to 1000.
type scale struct{ most int }

const maxWeight = 1000

func newScale(records []*dns.SRV) (s scale) {
	for _, r := range records {
		s.most = max(s.most, int(r.Weight))
	}
	return s
}

// of returns a record's weight. Weight 0 everywhere says that there is nothing to choose; beside others it is for servers that are to get
// next to nothing (RFC 2782), which here is no new call.
func (s scale) of(r *dns.SRV) int {
	switch w := int(r.Weight); {
	case s.most == 0:
		return 1
	case w == 0:
		return 0
	case s.most > maxWeight:
		return max(1, w*maxWeight/s.most)
	default:
		return w
	}
}
