package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/thriftloom/thriftloom/cluster/resolve"
)

// answer is what was found of a name.
type answer struct {
	name      string // the one that was found, of those that were searched
	addresses []netip.Addr
	services  []*dns.SRV
	along     map[string]answer // addresses of targets that came with SRV records, by name in lower case
	ttl       time.Duration
}

// The bounds of one question.
const (
	maxCNAMEs   = 16
	udpBytes    = 1232 // what passes every network in one piece (DNS flag day 2020)
	maxTimeout  = 10 * time.Second
	maxAttempts = 5
)

// asker asks servers in their order.
type asker struct {
	servers  []string
	system   *dns.ClientConfig
	timeout  time.Duration // of one question to one server
	attempts int           // rounds over all servers
}

func newAsker(c Config) (*asker, error) {
	system, err := dns.ClientConfigFromFile(c.ResolvConf)
	if err != nil {
		if c.Server == "" {
			return nil, fmt.Errorf("which DNS server is to be asked? %w", err)
		}
		system = &dns.ClientConfig{Ndots: 1, Timeout: 5, Attempts: 2}
	}
	a := &asker{
		system:   system,
		timeout:  min(time.Duration(max(system.Timeout, 1))*time.Second, maxTimeout),
		attempts: min(max(system.Attempts, 1), maxAttempts),
	}
	if c.Server != "" {
		a.servers = []string{c.Server}
		return a, nil
	}
	for _, s := range system.Servers {
		a.servers = append(a.servers, net.JoinHostPort(s, system.Port))
	}
	if len(a.servers) == 0 {
		a.servers = []string{"127.0.0.1:53"} // what resolv.conf(5) says
	}
	return a, nil
}

// search asks for a name as the system does: a short one below the search domains. The first that has an answer is it. A failure ends the
// search: the name may be there, and one that is found below the next domain is another one.
func (a *asker) search(name string, ask func(name string) (answer, error)) (answer, error) {
	var none error
	ttl := time.Duration(-1)
	for _, full := range a.system.NameList(name) {
		found, err := ask(full)
		if err == nil || !errors.Is(err, resolve.ErrNone) {
			found.name = full
			return found, err
		}
		if none == nil {
			none = err
		}
		if ttl < 0 || found.ttl < ttl {
			ttl = found.ttl
		}
	}
	if none == nil {
		none = fmt.Errorf("%q is no name of DNS", name)
	}
	return answer{ttl: max(ttl, 0)}, none
}

// host asks for the addresses of a full name. The error is, or wraps, resolve.ErrNone where it has none.
func (a *asker) host(ctx context.Context, name, kind string) (answer, error) {
	switch kind {
	case A:
		return a.ask(ctx, name, dns.TypeA)
	case AAAA:
		return a.ask(ctx, name, dns.TypeAAAA)
	}
	four, err := a.ask(ctx, name, dns.TypeA)
	if none := errors.Is(err, resolve.ErrNone); err != nil && !none || err == nil && kind == Auto {
		return four, err
	}
	six, err6 := a.ask(ctx, name, dns.TypeAAAA)
	switch none := errors.Is(err6, resolve.ErrNone); {
	case err6 != nil && !none:
		return six, err6
	case err != nil: // there is no A
		six.ttl = min(six.ttl, four.ttl)
		return six, err6
	}
	four.addresses, four.ttl = append(four.addresses, six.addresses...), min(four.ttl, six.ttl)
	return four, nil
}

// ask asks for one type of records of a full name.
func (a *asker) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	var last error
	for range a.attempts {
		for _, server := range a.servers {
			m, err := a.exchange(ctx, server, name, kind)
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
			if err == nil {
				return read(m, name, kind)
			}
			last = fmt.Errorf("%s %s at %s: %w", dns.TypeToString[kind], name, server, plain(err))
		}
	}
	return answer{}, last
}

// exchange puts one question to one server: over UDP, and over TCP where the answer does not fit.
func (a *asker) exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(name, kind)
	q.SetEdns0(udpBytes, false)
	c := dns.Client{Timeout: a.timeout}
	m, _, err := c.ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		c.Net = "tcp"
		m, _, err = c.ExchangeContext(ctx, q, server)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(m.Question) != 1 || m.Question[0].Qtype != kind || !strings.EqualFold(m.Question[0].Name, name):
		return nil, errors.New("the answer is to another question")
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("the server answers %s", dns.RcodeToString[m.Rcode])
	case len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable && m.Rcode == dns.RcodeSuccess:
		return nil, errors.New("the server knows nothing of the name and asks nobody")
	}
	return m, nil
}

// plain leaves out of an error what is different each time.
func plain(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	if op.Timeout() {
		return errors.New("no answer in time")
	}
	return op.Err
}

// read takes what an answer says of a name.
func read(m *dns.Msg, name string, kind uint16) (answer, error) {
	found := answer{ttl: time.Duration(1<<31-1) * time.Second}
	count := func(h *dns.RR_Header) { found.ttl = min(found.ttl, time.Duration(h.Ttl)*time.Second) }
	owner := name
	for range maxCNAMEs {
		next := ""
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, owner) {
				next = c.Target
				count(&c.Hdr)
			}
		}
		if next == "" {
			break
		}
		owner = next
	}
	for _, rr := range m.Answer {
		h := rr.Header()
		if !strings.EqualFold(h.Name, owner) || h.Rrtype != kind {
			continue
		}
		count(h)
		if s, ok := rr.(*dns.SRV); ok {
			found.services = append(found.services, s)
		} else if ip, ok := address(rr); ok {
			found.addresses = append(found.addresses, ip)
		}
	}
	if len(found.addresses)+len(found.services) > 0 {
		found.along = along(m)
		return found, nil
	}
	found.ttl = min(found.ttl, negative(m))
	if m.Rcode == dns.RcodeNameError {
		return found, fmt.Errorf("%w: there is no name %s (NXDOMAIN)", resolve.ErrNone, name)
	}
	return found, fmt.Errorf("%w: %s has no record of type %s", resolve.ErrNone, name, dns.TypeToString[kind])
}

func address(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		ip, ok := netip.AddrFromSlice(rr.A.To4())
		return ip, ok
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA)
	}
	return netip.Addr{}, false
}

// along takes the addresses that came with SRV records: of each name A where there are any, else AAAA.
func along(m *dns.Msg) map[string]answer {
	all := map[string]answer{}
	for _, kind := range []uint16{dns.TypeAAAA, dns.TypeA} {
		of := map[string]answer{}
		for _, rr := range m.Extra {
			h := rr.Header()
			ip, ok := address(rr)
			if !ok || h.Rrtype != kind {
				continue
			}
			name := strings.ToLower(h.Name)
			a, seen := of[name]
			if ttl := time.Duration(h.Ttl) * time.Second; !seen || ttl < a.ttl {
				a.ttl = ttl
			}
			a.addresses = append(a.addresses, ip)
			of[name] = a
		}
		for name, a := range of {
			all[name] = a
		}
	}
	return all
}

// negative is how long it may be relied upon that there is nothing (RFC 2308); nothing for a server that does not say.
func negative(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}
