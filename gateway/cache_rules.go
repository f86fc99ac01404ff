package gateway

import (
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// ofMethods are the keys of a cache block that say something of one method's arguments or replies.
var ofMethods = []string{"key", "tags", "exceptions", "invalidates"}

// caches makes the cache policy of each method ready, once it is known who listens.
func (l *loader) caches() {
	r := &l.cfg.Resolved
	for i := range r.services {
		l.serviceCaches(&r.services[i], r.listeners)
	}
}

func (l *loader) serviceCaches(p *servicePlan, listeners []listenerPlan) {
	key := "services." + p.label
	own := func(m *methodPlan) bool {
		return m.policies.Cache.On && strings.HasPrefix(m.policies.Cache.at.key, key+".methods.")
	}
	place := cache.Place{Service: p.label, Methods: map[string]cache.Config{}, Authenticated: authenticates(listeners, p.label)}
	for i := range p.methods {
		if own(&p.methods[i]) {
			place.Methods[p.schema.Methods[i].Name] = p.methods[i].policies.Cache.Config
		}
	}
	for i := range p.methods {
		m := &p.methods[i]
		if !own(m) {
			continue
		}
		place.Timeout = m.policies.Deadline.Timeout
		block := m.policies.Cache
		var mistakes []cache.Mistake
		if m.cache, mistakes = block.Compile(p.schema.Methods[i], place); l.told(block.at.key) {
			continue
		}
		for _, x := range append(mistakes, l.noStore(&block)...) {
			at := block.at
			if x.Key != "" {
				at = at.below(strings.Split(x.Key, ".")...)
			}
			l.noting(at.file).Addf(at.node, at.key, "%s", x.Text)
		}
	}
	l.cfg.Resolved.stores.used = l.cfg.Resolved.stores.used || len(place.Methods) > 0
	l.checkServiceCache(p, key, len(place.Methods) > 0)
}

// noStore finds a block whose store the config does not have.
func (l *loader) noStore(c *Cache) []cache.Mistake {
	s := &l.cfg.Stores
	if c.Store == "redis" && !s.Redis.at.written() || c.Store == "memcached" && !s.Memcached.at.written() {
		return []cache.Mistake{{Key: "store", Text: c.Store + " has no block in stores"}}
	}
	return nil
}

// checkServiceCache finds what of a service's own block cannot hold for all of its methods, and one that holds for none.
func (l *loader) checkServiceCache(p *servicePlan, key string, used bool) {
	block := p.other.policies.Cache
	if !block.at.written() || !strings.HasPrefix(block.at.key, key+".") || l.told(block.at.key) {
		return
	}
	at := l.noting(block.at.file)
	for _, name := range ofMethods {
		if node := strictyaml.Find(block.at.node, name); node != nil {
			at.Addf(node, block.at.key+"."+name, "is of one method: it stands at that")
		}
	}
	if block.On && !used {
		l.warnings = append(l.warnings, strictyaml.Mistake{
			File: block.at.file, Line: block.at.node.Line, Col: block.at.node.Column, Key: block.at.key,
			Text: "no method of " + p.label + " has a cache block of its own: nothing is kept",
		})
	}
}

// authenticates reports whether one of the listeners of a service verifies who calls.
func authenticates(all []listenerPlan, label string) bool {
	return slices.ContainsFunc(all, func(p listenerPlan) bool {
		return slices.Contains(p.services, label) && (p.tls != nil && p.tls.files.CA != "" || p.users != nil)
	})
}
