package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster/lease"
	"github.com/thriftloom/thriftloom/cluster/view"
	"github.com/thriftloom/thriftloom/internal/secret"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// sharing is what the key `gateways` comes to where it is a block.
type sharing struct {
	lease.Config
	beyond bool // they are reached from other machines
}

// gateways resolves the block `gateways`. It is checked as a whole once the upstreams are known.
func (l *loader) gateways() {
	g, r := &l.cfg.Gateways, &l.cfg.Resolved
	if g.at.node == nil || g.at.node.Kind != yaml.MappingNode {
		return
	}
	find := func(key string) *yaml.Node { return strictyaml.At(g.at.node, key) }
	r.sharing = &sharing{Config: lease.Config{Name: cmp.Or(g.Name, g.Listen), Listen: g.Listen, Peers: g.Peers, Key: []byte(g.Key)}}
	beyond := l.checkUDP(find("listen"), "gateways.listen", g.Listen)
	if len(g.Peers) == 0 && !l.told("gateways.peers") {
		l.Addf(find("peers"), "gateways.peers", "is missing: where do the other gateways listen?")
	}
	if len(g.Peers) > maxGateways {
		l.Addf(find("peers"), "gateways.peers", "are more than %d", maxGateways)
	}
	for i, p := range g.Peers {
		key := fmt.Sprintf("gateways.peers[%d]", i)
		if slices.Contains(g.Peers[:i], p) {
			l.Addf(find("peers"), key, "%s stands here twice", p)
		}
		beyond = l.checkUDP(find("peers"), key, p) || beyond
	}
	if len(r.sharing.Name) > lease.MaxNameBytes {
		l.Addf(find("name"), "gateways.name", "is longer than %d bytes", lease.MaxNameBytes)
	}
	l.checkKey(g, r.sharing, beyond)
	r.sharing.beyond = beyond
}

// maxGateways bounds who shares: every message of the arbiter goes to each.
const maxGateways = 64

// checkUDP checks an address of the block, and reports whether it is reached from other machines.
func (l *loader) checkUDP(node *yaml.Node, key, address string) (beyond bool) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case l.told(key) || l.told("gateways") && address == "":
		return false
	case address == "":
		l.Addf(node, key, "is missing: host:port, of UDP")
		return false
	case err != nil || port == "" || port == "0" || strings.HasPrefix(address, "unix:") || host == "" && key != "gateways.listen":
		l.Addf(node, key, "address %q: a host and a port above 0 are wanted", address)
		return false
	}
	return !Loopback(address)
}

func (l *loader) checkKey(g *Gateways, s *sharing, beyond bool) {
	at := func(key string) *yaml.Node { return strictyaml.At(g.at.node, key) }
	from := "key"
	switch {
	case g.Key != "" && g.KeyFile != "":
		l.Addf(at("key_file"), "gateways.key_file", "key and key_file are both given")
		return
	case g.KeyFile != "":
		from = "key_file"
		l.secretFile(at("key_file"), "gateways.key_file", g.KeyFile)
		key, err := secret.Read(l.abs(g.KeyFile))
		if err != nil {
			return // it has been told
		}
		s.Key = []byte(key)
	}
	switch n := len(s.Key); {
	case n == 0 && beyond:
		l.Addf(g.at.node, "gateways", "the gateways can be reached from other machines: they need a key (key_file)")
	case n > 0 && n < minKeyBytes:
		l.Addf(at(from), "gateways."+from, "the key is shorter than %d bytes", minKeyBytes)
	}
}

// minKeyBytes is what makes a key hard to guess.
const minKeyBytes = 16

// checkSharing checks what is shared, once all upstreams are resolved, and says how long a call may take.
func (l *loader) checkSharing() {
	r := &l.cfg.Resolved
	if r.sharing == nil {
		return
	}
	endpoints, viewed := 0, 0
	for _, u := range r.upstreams {
		if u.cluster.Leased {
			endpoints += len(u.endpoints)
			r.sharing.Hold = max(r.sharing.Hold, u.drainTime)
		}
		if u.viewed {
			viewed += len(u.endpoints)
		}
	}
	if viewed > view.MaxEndpoints {
		l.Addf(l.cfg.Gateways.at.node, "gateways", "the calls of %d endpoints are told; more than %d are not", viewed, view.MaxEndpoints)
	}
	if endpoints > lease.MaxEndpoints {
		l.Addf(l.cfg.Gateways.at.node, "gateways", "%d endpoints are shared; more than %d do not fit into a message", endpoints, lease.MaxEndpoints)
	}
}

// warnLocal tells of a shared endpoint that is another server on another host.
func (l *loader) warnLocal(node *yaml.Node, path string, p *upstreamPlan) {
	for _, e := range p.endpoints {
		if Loopback(e.Address) {
			l.warnf(node, path, "%s is another server on another host: set gateways: 1 unless all gateways stand on this one", e.Name)
			return
		}
	}
}

// The words of the key `share`; both is neither.
const (
	shareSlots = "slots"
	shareView  = "view"
)

func serverName(kind string) string {
	if kind == "" {
		return "servers of no stated kind (server:)"
	}
	return "server: " + kind
}

// share leaves this gateway its share of the upstream's slots, or lets the gateways lend each other what they have.
func (l *loader) share(node *yaml.Node, path string, u *Upstream, p *upstreamPlan) {
	n := l.cfg.Gateways.N
	if u.Gateways > 0 {
		n = u.Gateways
	}
	if p.run != nil {
		if u.Gateways > 1 {
			l.Addf(strictyaml.At(node, "gateways"), path+".gateways", "replicas of `run` are this gateway's own: nobody shares them")
		}
		if u.Share != "" {
			l.Addf(strictyaml.At(node, "share"), path+".share", "replicas of `run` are this gateway's own: nobody shares them")
		}
		return
	}
	s := l.cfg.Resolved.sharing
	if u.Share != "" && (s == nil || u.Gateways > 0) {
		l.Addf(strictyaml.At(node, "share"), path+".share", "these servers are not shared with gateways that see each other: that takes a block `gateways` at the top of the file, and no number here")
	}
	if s != nil && u.Gateways == 0 {
		share := cmp.Or(u.Share, l.cfg.Gateways.Share, shareSlots)
		p.cluster.Leased, p.viewed = share != shareView, share != shareSlots
		p.shareSource(n)
		if share == shareView && kindOf(u.Server).pinned() {
			l.Addf(node, path, "share: view does not do for %s: a worker serves one connection at a time, whether or not it has a call; share its slots (slots or both)", serverName(u.Server))
		}
		if s.beyond {
			l.warnLocal(node, path, p)
		}
		return
	}
	if n <= 1 {
		return
	}
	p.shareSource(n)
	odd := map[int]bool{} // numbers of slots that cannot be split evenly
	part := func(slots int) int {
		if slots%n != 0 {
			odd[slots] = true
		}
		return max(1, slots/n)
	}
	for i, e := range p.endpoints {
		if e.Slots > 0 {
			p.endpoints[i].Slots = part(e.Slots)
		} else if p.cluster.Slots > 0 {
			p.endpoints[i].Slots = part(p.cluster.Slots)
		}
	}
	if p.source != nil && p.cluster.Slots > 0 {
		part(p.cluster.Slots)
	}
	at, key := strictyaml.At(node, "gateways"), path+".gateways"
	if u.Gateways == 0 {
		key = path
	}
	for _, slots := range slices.Sorted(maps.Keys(odd)) {
		if slots < n {
			l.warnf(at, key, "%d gateways share endpoints with slots: %d; each takes 1, which together is more", n, slots)
		} else {
			l.warnf(at, key, "%d gateways share endpoints with slots: %d; each takes %d, which leaves %d unused", n, slots, slots/n, slots%n)
		}
	}
}
