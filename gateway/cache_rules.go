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
	place := cache.Place{Service: p.label, Methods: map[string]cache.Config{}, Authenticated: authenticates(listeners, p.label)}
	for i := range p.methods {
		block := &p.methods[i].policies.Cache
		if block.On = block.On && strings.HasPrefix(block.at.key, key+".methods."); block.On {
			block.settle()
			place.Methods[p.schema.Methods[i].Name] = block.Config
		}
	}
	for i := range p.methods {
		m := &p.methods[i]
		block := &m.policies.Cache
		if !block.On || l.told(block.at.key) {
			continue
		}
		place.Timeout = m.policies.Deadline.Timeout
		var mistakes []cache.Mistake
		m.cache, mistakes = block.Compile(p.schema.Methods[i], place)
		for _, x := range mistakes {
			at := block.at
			if x.Key != "" {
				at = at.below(strings.Split(x.Key, ".")...)
			}
			l.noting(at.file).Addf(at.node, at.key, "%s", x.Text)
		}
		l.checkStore(block, p.other.policies.Cache.at)
	}
	l.cfg.Resolved.stores.used = l.cfg.Resolved.stores.used || len(place.Methods) > 0
	l.checkServiceCache(p, key, len(place.Methods) > 0)
}

// has reports whether a key stands in the block itself, and not in a less specific one.
func (c *Cache) has(key string) bool { return strictyaml.Find(c.at.node, key) != nil }

// settle takes out of a method's block what is there from less specific places and has no use in it: a method that makes replies void has none
// that are kept.
func (c *Cache) settle() {
	for i, list := range []*[]string{&c.Key, &c.Tags, &c.Invalidates} {
		if !c.has([]string{"key", "tags", "invalidates"}[i]) {
			*list = nil
		}
	}
	if !c.has("exceptions") {
		c.Exceptions = nil
	}
	if c.has("invalidates") && !c.has("ttl") {
		c.TTL = 0
	}
	if c.TTL > 0 {
		return
	}
	if !c.has("stale_while_revalidate") {
		c.StaleWhileRevalidate = 0
	}
	if !c.has("stale_if_error") {
		c.StaleIfError = 0
	}
}

// checkStore finds a block whose store the config does not have. It is told where the store is named: at the method, or in the less specific block.
func (l *loader) checkStore(c *Cache, less spot) {
	s := &l.cfg.Stores
	if !(c.Store == "redis" && !s.Redis.at.written() || c.Store == "memcached" && !s.Memcached.at.written()) {
		return
	}
	at := less
	if c.has("store") {
		at = c.at
	}
	if at = at.below("store"); !l.told(at.key) {
		l.noting(at.file).Addf(at.node, at.key, "%s has no block in stores", c.Store)
	}
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
