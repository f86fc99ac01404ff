package redis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/store"
)

// Mistakes of a block are told all at once, by their keys; what says nothing has the defaults.
func TestMistakes(t *testing.T) {
	one := func(set func(*Config)) Config { c := at("10.0.0.1:6379"); set(&c); return c }
	for _, c := range []struct {
		name string
		in   Config
		want []string // keys
	}{
		{"the default", one(func(*Config) {}), nil},
		{"zero but for an address", Config{Addresses: []string{"redis:6379"}}, nil},
		{"nothing", store.DefaultRedis(), nil},
		{"no port", at("redis", ":6379", "redis:"), []string{"addresses", "addresses", "addresses", "addresses"}},
		{"several", at("a:1", "b:1"), []string{"addresses"}},
		{"several of a cluster", one(func(c *Config) { c.Addresses, c.Cluster = []string{"a:1", "b:1"}, true }), nil},
		{"several Sentinels", one(func(c *Config) { c.Addresses, c.Sentinel.Master = []string{"a:1", "b:1"}, "m" }), nil},
		{"both", one(func(c *Config) { c.Cluster, c.Sentinel.Master = true, "m" }), []string{"sentinel"}},
		{"no master", one(func(c *Config) { c.Sentinel.Password = "p" }), []string{"sentinel.master"}},
		{"a database of a cluster", one(func(c *Config) { c.Cluster, c.DB = true, 1 }), []string{"db"}},
		{"users without passwords", one(func(c *Config) { c.User, c.Sentinel = "u", store.RedisSentinel{Master: "m", User: "u"} }), []string{"password", "sentinel.password"}},
		{"a brace", one(func(c *Config) { c.Namespace = "a{b" }), []string{"namespace"}},
		{"a long name", one(func(c *Config) { c.Namespace = strings.Repeat("a", 65) }), []string{"namespace"}},
		{"given up before it is lost", one(func(c *Config) { c.LostAfter, c.Timeout = 2*time.Second, time.Second }), []string{"timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var keys []string
			for _, m := range c.in.Mistakes() {
				keys = append(keys, m.Key)
			}
			if !slices.Equal(keys, c.want) {
				t.Errorf("%q, %q are wanted", keys, c.want)
			}
		})
	}
}

// New fails where the block has a mistake, and says no password.
func TestNewRefuses(t *testing.T) {
	c := at("nowhere")
	c.DB, c.User, c.Password, c.LostAfter = -1, "loom", "s3cret", time.Hour
	_, err := New(c, nil, cache.Events{})
	for _, want := range []string{"redis.DB: ", "redis.LostAfter: ", "redis.addresses: "} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v: %s is wanted", err, want)
		}
	}
	if _, e := NewLimits(c, nil); e == nil || strings.Contains(e.Error()+err.Error(), "s3cret") {
		t.Errorf("%v", e)
	}
}
