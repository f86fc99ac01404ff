package cache

import (
	"fmt"
	"strings"
	"time"
)

// Config is the cache layer's block, `cache`, of one method.
type Config struct {
	// TTL is how long a reply is kept and answered with. Each is kept up to a tenth less, so that those that were loaded together do not
	// end together. Default 0: none is kept, and equal calls under way are made once; 1ms to 24h.
	TTL time.Duration `yaml:"ttl" min:"1ms" max:"24h"`
	// Key is the arguments that tell calls apart, or fields in them: [id], [query.text, page]. What is left out does not matter to the reply.
	// Default all.
	Key []string `yaml:"key"`
	// Vary is transport headers, of whatever case, that tell calls apart besides. Default none does.
	Vary []string `yaml:"vary"`
	// Scope says who shares a reply: shared, all callers; caller, each has its own, by its verified identities, or where none is verified
	// by its name; calls of one that has neither are not answered from the cache. Default caller for callers on a listener that verifies who
	// they are (tls with client_ca_file, sasl), else shared.
	Scope string `yaml:"scope" oneof:"caller,shared"`
	// StaleWhileRevalidate is how long after its TTL a reply is still answered with while another one is loaded. Default 0; 1ms to 24h.
	StaleWhileRevalidate time.Duration `yaml:"stale_while_revalidate" min:"1ms" max:"24h"`
	// StaleIfError is how long after its TTL a reply is answered with where the call fails without an answer. Default 0; 1ms to 24h.
	StaleIfError time.Duration `yaml:"stale_if_error" min:"1ms" max:"24h"`
	// Exceptions is which exceptions that the IDL declares are kept, and how long each: {NotFound: 2s}. Default none is.
	Exceptions map[string]time.Duration `yaml:"exceptions" min:"1ms" max:"24h"`
	// RefreshAhead loads a reply that is asked for anew shortly before its TTL is over, by two to a few times as long as loading took, so
	// that nobody waits for it. Default true.
	RefreshAhead bool `yaml:"refresh_ahead"`
	// Tags is names under which replies can be made void, with arguments in braces: ["user:{id}"]. Default none; 8 at most.
	Tags []string `yaml:"tags"`
	// Invalidates is what a successful call of this method makes void: replies to a call, whose key is made of this method's arguments
	// (getUser(id), getUser(user.id)), of a method (listUsers), or with a tag ("tag:user:{id}"). Default nothing; 32 at most.
	Invalidates []string `yaml:"invalidates"`
	// Store is where replies are kept: near, in this process alone; redis or memcached, where gateways share them, and for a while in this
	// process too. Default redis where `stores` has one, else memcached, else near.
	Store string `yaml:"store" oneof:"near,redis,memcached"`
	// NearTTL is how long a reply out of a store that is shared is kept in this process; 0: not at all. Default with redis as long as it lives,
	// since Redis tells what has changed, with memcached 1s; 0 to 24h.
	NearTTL time.Duration `yaml:"near_ttl" min:"0s" max:"24h"`
	// MaxReplyBytes bounds a reply that is kept; one that is longer is answered and not kept. Default 1MiB; 1 to 16384000.
	MaxReplyBytes int `yaml:"max_reply_bytes" min:"1" max:"16384000"`
}

// Whole is a NearTTL that keeps a reply as long as it lives.
const Whole time.Duration = -1

// Default returns the keys of a block that says nothing.
func Default() Config { return Config{RefreshAhead: true, NearTTL: Whole, MaxReplyBytes: 1 << 20} }

// keeps reports whether replies are kept.
func (c *Config) keeps() bool { return c.TTL > 0 }

// Mistake is a wrong key of a block, "" for the block itself.
type Mistake struct{ Key, Text string }

// The bounds of lists.
const (
	maxTags        = 8
	maxInvalidates = 32
	maxNames       = 16
)

// Mistakes returns what is wrong with a block whatever the method.
func (c *Config) Mistakes() (all []Mistake) {
	add := func(key, text string, args ...any) { all = append(all, Mistake{key, fmt.Sprintf(text, args...)}) }
	for _, l := range []struct {
		key  string
		list []string
		most int
	}{{"key", c.Key, maxNames}, {"vary", c.Vary, maxNames}, {"tags", c.Tags, maxTags}, {"invalidates", c.Invalidates, maxInvalidates}} {
		if len(l.list) > l.most {
			add(l.key, "has %d entries, %d at most", len(l.list), l.most)
		}
		for _, entry := range l.list {
			if strings.TrimSpace(entry) == "" {
				add(l.key, "an entry is empty")
			}
		}
	}
	for _, d := range []struct {
		key string
		set bool
	}{
		{"stale_while_revalidate", c.StaleWhileRevalidate > 0}, {"stale_if_error", c.StaleIfError > 0}, {"exceptions", len(c.Exceptions) > 0},
		{"tags", len(c.Tags) > 0},
	} {
		if d.set && !c.keeps() {
			add(d.key, "is of replies that are kept, and none is: ttl is missing")
		}
	}
	return all
}
