package gateway

import (
	"maps"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/store"
)

// Cache is the block of the cache layer. It turns it on for a method where it stands at that method.
type Cache struct {
	On           bool
	cache.Config `yaml:",inline"`

	at  spot
	set bool
}

// DecodeYAML takes true, false or a block.
func (c *Cache) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if !c.set {
		c.Config, c.set = cache.Default(), true
	}
	c.at, c.Exceptions = spotOf(d, node, path), maps.Clone(c.Exceptions) // what is less specific has its own
	decodeSwitch(d, node, path, &c.On, &c.Config)
}

// Stores are the memory behind caches and global limits.
type Stores struct {
	// Near is how much of this process's own memory replies may take, with all that belongs to them. Default 64MiB; 64KiB to 64GiB.
	Near strictyaml.Bytes `yaml:"near" min:"64KiB" max:"64GiB"`
	// Patience is how long a call waits for a store at one time; a store that is slower again and again is not asked for a while. Default 10ms; 1ms
	// to 10s.
	Patience time.Duration `yaml:"patience" min:"1ms" max:"10s"`
	// Redis is a Redis that gateways share.
	Redis Redis `yaml:"redis"`
	// Memcached is one or many memcached that gateways share.
	Memcached Memcached `yaml:"memcached"`
}

// Redis is where it is, and how it is spoken to.
type Redis struct {
	store.RedisConfig `yaml:",inline"`
	// TLS speaks TLS to the servers.
	TLS ClientTLS `yaml:"tls"`

	at place
}

// DecodeYAML takes an address or a block.
func (r *Redis) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Redis
	r.RedisConfig, r.at = store.DefaultRedis(), place{node, path}
	addresses(d, node, path, &r.Addresses, (*plain)(r))
}

// Memcached is where its servers are.
type Memcached struct {
	store.MemcachedConfig `yaml:",inline"`

	at place
}

// DecodeYAML takes an address, a list of them, or a block.
func (m *Memcached) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	m.MemcachedConfig, m.at = store.DefaultMemcached(), place{node, path}
	addresses(d, node, path, &m.Addresses, &m.MemcachedConfig)
}

// addresses decodes a union whose short forms are an address and a list of them.
func addresses(d *strictyaml.Decoder, node *yaml.Node, path string, list *[]string, block any) {
	switch node.Kind {
	case yaml.MappingNode:
		d.Decode(node, path, block)
	case yaml.SequenceNode:
		d.Decode(node, path, list)
	default:
		if text, ok := d.Text(node, path); ok {
			*list = []string{text}
		}
	}
}
