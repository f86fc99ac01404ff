package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster/lease"
	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/dns"
	"github.com/thriftloom/thriftloom/cluster/resolve/file"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// sourcePlan is where the endpoints of an upstream are looked up. One of dns, file, etcd and consul says how.
type sourcePlan struct {
	dns       *dns.Config
	file      string // absolute
	etcd      *resolve.EtcdConfig
	consul    *resolve.ConsulConfig
	secret    string   // file of the password or the token, absolute; "": none
	tls       *tlsPlan // towards etcd or Consul; nil: none
	holdEmpty time.Duration
	parts     int // gateways that share each endpoint's slots by number; 0 and 1: none other
	slots     int // of an endpoint that names none
	most      int // endpoints
	resolver  resolve.Resolver
}

// equal reports whether what follows one plan follows the other as it is; nil is no source.
func (p *sourcePlan) equal(o *sourcePlan) bool {
	if p == nil || o == nil {
		return p == o
	}
	a, b := *p, *o
	a.tls, b.tls, a.resolver, b.resolver = nil, nil, nil, nil
	return p.tls.equal(o.tls) && reflect.DeepEqual(a, b)
}

// lookup resolves where the endpoints are looked up; nil where the config names them, or processes are run.
func (l *loader) lookup(node *yaml.Node, path string, u *Upstream, p *upstreamPlan) *sourcePlan {
	s := &sourcePlan{holdEmpty: u.HoldEmpty, slots: p.cluster.Slots, most: resolve.MaxEndpoints}
	switch {
	case u.DNS.at.node != nil:
		s.dns = l.dns(&u.DNS)
	case u.File.at.node != nil:
		s.file = l.endpointsFile(&u.File)
	case u.Etcd.at.node != nil:
		s.etcd = l.etcd(&u.Etcd, s)
	case u.Consul.at.node != nil:
		s.consul = l.consul(&u.Consul, s)
	default:
		if at := strictyaml.Find(node, "hold_empty"); at != nil {
			l.Addf(at, path+".hold_empty", "is for endpoints that are looked up: dns, file, consul, etcd")
		}
		return nil
	}
	return s
}

// dns resolves the block; what is wrong in it is told.
func (l *loader) dns(n *DNS) *dns.Config {
	c := &dns.Config{Name: n.Name, Type: n.Type, Server: n.Server, MinTTL: n.MinTTL, MaxTTL: n.MaxTTL}
	key, at := n.at.key, n.at.node
	if at.Kind == yaml.MappingNode {
		key, at = key+".name", strictyaml.At(at, "name")
	}
	host, port, err := net.SplitHostPort(n.Name)
	number, bad := strconv.ParseUint(port, 10, 16)
	switch {
	case l.told(n.at.key):
	case n.Name == "":
		l.Addf(at, key, "is missing: host:port, or the name of a service")
	case strings.Contains(n.Name, ":") && (err != nil || bad != nil || number == 0):
		l.Addf(at, key, "%q: want host:port, or the name of a service", n.Name)
	case err == nil && n.Type == dns.SRV:
		l.Addf(at, key, "%q has a port, which SRV records say themselves", n.Name)
	case err != nil && n.Type != dns.SRV && (n.Type != dns.Auto || !strings.HasPrefix(n.Name, "_")):
		l.Addf(at, key, "%q has no port, and is not the name of a service, which begins with _ (_thrift._tcp.users.internal)", n.Name)
	default:
		if err == nil {
			c.Name, c.Port = host, int(number)
		}
		if ip, err := netip.ParseAddr(c.Name); err == nil {
			l.Addf(at, key, "%s is an address: endpoints: is for these", ip)
		} else if !validName(c.Name) {
			l.Addf(at, key, "%q is no name of DNS", c.Name)
		}
	}
	if n.Server != "" && !l.told(n.at.key+".server") {
		if to, err := netip.ParseAddrPort(n.Server); err != nil || to.Port() == 0 {
			l.Addf(strictyaml.At(n.at.node, "server"), n.at.key+".server", "%q: want ip:port", n.Server)
		}
	}
	if n.MinTTL > n.MaxTTL && !l.told(n.at.key) {
		l.Addf(n.at.node, n.at.key, "min_ttl: %v is more than max_ttl: %v", n.MinTTL, n.MaxTTL)
	}
	return c
}

// validName reports whether a name may be one of DNS: labels of 1 to 63 characters, 253 in all.
func validName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`/\"'`, c) }) {
			return false
		}
	}
	return len(name) <= 253
}

// endpointsFile looks into the file. One that is not there may come; one that is broken is a mistake, unless a gateway runs, which goes on
// with what was good before.
func (l *loader) endpointsFile(f *File) string {
	node, key := f.at.node, f.at.key
	if f.Path == "" {
		if !l.told(key) {
			l.Addf(node, key, "is missing: the path of the file")
		}
		return ""
	}
	path := l.abs(f.Path)
	list, err := file.Read(path)
	var mistakes file.Mistakes
	switch {
	case err == nil && len(list) == 0:
		l.warnf(node, key, "%s names no endpoint", f.Path)
	case err == nil:
	case !errors.As(err, &mistakes):
		l.warnf(node, key, "%s: %s: until it is there the upstream has no new endpoint", f.Path, unreadable(err))
	case l.holds != nil:
		l.warnf(node, key, "%s: what was good before stays in force", mistakes[0])
	default:
		for _, m := range mistakes {
			l.Addf(node, key, "%s:%d:%d: %s: %s", f.Path, m.Line, m.Col, m.Key, m.Text)
		}
	}
	return path
}

func (l *loader) etcd(e *Etcd, s *sourcePlan) *resolve.EtcdConfig {
	node, key := e.at.node, e.at.key
	told := l.told(key)
	for i, at := range e.Endpoints {
		if !reachable(at, "http", "https") && !told {
			l.Addf(strictyaml.At(node, "endpoints"), fmt.Sprintf("%s.endpoints[%d]", key, i), "%q: want host:port, or http(s)://host:port", at)
		}
	}
	switch {
	case told:
	case len(e.Endpoints) == 0:
		l.Addf(node, key+".endpoints", "is missing: the members of etcd")
	case e.Prefix == "":
		l.Addf(node, key+".prefix", "is missing: what the keys of the servers begin with")
	case e.Username == "" && e.PasswordFile != "":
		l.Addf(node, key+".username", "is missing: a password is for somebody")
	case e.Username != "" && e.PasswordFile == "":
		l.Addf(node, key+".password_file", "is missing")
	case e.PasswordFile != "":
		l.secretFile(strictyaml.At(node, "password_file"), key+".password_file", e.PasswordFile)
		s.secret = l.abs(e.PasswordFile)
	}
	s.tls = l.clientTLS(&e.TLS)
	if s.tls != nil && slices.ContainsFunc(e.Endpoints, func(at string) bool { return strings.HasPrefix(at, "http://") }) {
		l.Addf(strictyaml.At(node, "tls"), key+".tls", "an endpoint says http://, which is without TLS")
	}
	return &resolve.EtcdConfig{Endpoints: e.Endpoints, Prefix: e.Prefix, Username: e.Username}
}

func (l *loader) consul(c *Consul, s *sourcePlan) *resolve.ConsulConfig {
	node, key := c.at.node, c.at.key
	switch told := l.told(key); {
	case told:
	case !reachable(c.Address, "http", "https", "unix"):
		l.Addf(strictyaml.At(node, "address"), key+".address", "%q: want host:port, http(s)://host:port or unix:///path", c.Address)
	case c.Service == "":
		l.Addf(node, key+".service", "is missing: the name of the service in Consul")
	}
	if c.TokenFile != "" {
		l.secretFile(strictyaml.At(node, "token_file"), key+".token_file", c.TokenFile)
		s.secret = l.abs(c.TokenFile)
	}
	s.tls = l.clientTLS(&c.TLS)
	if s.tls != nil && strings.HasPrefix(c.Address, "http://") {
		l.Addf(strictyaml.At(node, "tls"), key+".tls", "the address says http://, which is without TLS")
	}
	return &resolve.ConsulConfig{Address: c.Address, Service: c.Service, Tags: c.Tags, Datacenter: c.Datacenter, Health: c.Health}
}

// reachable reports whether an address is host:port, or a URL of one of the schemes with nothing but that.
func reachable(address string, schemes ...string) bool {
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		n, bad := strconv.ParseUint(port, 10, 16)
		return err == nil && bad == nil && n > 0 && host != "" && !strings.ContainsAny(host, "/ ")
	}
	u, err := url.Parse(address)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.User != nil {
		return false
	}
	if u.Scheme == "unix" {
		return u.Host == "" && u.Path != ""
	}
	return u.Hostname() != "" && (u.Path == "" || u.Path == "/")
}

// serverName is the name that the servers' certificates have to be for, where the config does not say: addresses that DNS gives have none.
func (s *sourcePlan) serverName() string {
	if s.dns == nil {
		return ""
	}
	name := strings.TrimSuffix(s.dns.Name, ".")
	if s.dns.Service() {
		for strings.HasPrefix(name, "_") { // _thrift._tcp.users.internal is for users.internal (RFC 6125)
			_, name, _ = strings.Cut(name, ".")
		}
	}
	return name
}

// explain is what is said of it in a line: who is asked.
func (s *sourcePlan) explain() (reads, asks string) {
	switch {
	case s.dns != nil && s.dns.Server != "":
		return "", s.dns.Server + "  DNS, for " + s.dns.Name
	case s.dns != nil:
		return "", "the servers of /etc/resolv.conf  DNS, for " + s.dns.Name
	case s.file != "":
		return s.file, ""
	case s.etcd != nil:
		return "", strings.Join(s.etcd.Endpoints, ", ") + "  etcd, for " + s.etcd.Prefix + s.tls.explain()
	case s.consul != nil:
		return "", s.consul.Address + "  Consul, for " + s.consul.Service + s.tls.explain()
	}
	return "", ""
}

// shareSource leaves this gateway its part of the slots of what the source names.
func (p *upstreamPlan) shareSource(gateways int) {
	if p.source == nil {
		return
	}
	p.source.parts = gateways
	if p.cluster.Leased {
		p.source.most, p.source.parts = lease.MaxEndpoints, 0
	}
}
