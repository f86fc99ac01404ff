package memcached

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/store"
)

// Each mistake is told with its key; a block with addresses alone has none.
func TestMistakes(t *testing.T) {
	with := func(f func(c *Config)) Config {
		c := Config{Addresses: []string{"10.0.0.7:11211", "[::1]:11211=16", "unix:/run/a=b=2"}}
		f(&c)
		return c
	}
	tests := []struct {
		name string
		c    Config
		want []string // keys
	}{
		{"addresses alone", with(func(*Config) {}), nil},
		{"the default", with(func(c *Config) { a := c.Addresses; *c = store.DefaultMemcached(); c.Addresses = a }), nil},
		{"nothing", Config{}, []string{"addresses"}},
		{"no port", with(func(c *Config) { c.Addresses[0] = "10.0.0.7" }), []string{"addresses[0]"}},
		{"weights", with(func(c *Config) { c.Addresses = []string{"a:1=0", "b:1=17", "c:1=", "d:1=x", "e:1=1"} }),
			[]string{"addresses[0]", "addresses[1]", "addresses[2]", "addresses[3]"}},
		{"a path that is none", with(func(c *Config) { c.Addresses[0] = "unix:run" }), []string{"addresses[0]"}},
		{"twice", with(func(c *Config) { c.Addresses[1] = "10.0.0.7:11211=2" }), []string{"addresses[1]"}},
		{"too many", with(func(c *Config) {
			c.Addresses = nil
			for i := range 65 {
				c.Addresses = append(c.Addresses, fmt.Sprintf("a:%d", i+1))
			}
		}), []string{"addresses"}},
		{"a namespace with a space", with(func(c *Config) { c.Namespace = "a b" }), []string{"namespace"}},
		{"a long namespace", with(func(c *Config) { c.Namespace = strings.Repeat("a", 65) }), []string{"namespace"}},
		{"bounds", with(func(c *Config) { c.Connections, c.Timeout, c.DialTimeout = 17, time.Hour, time.Millisecond }),
			[]string{"connections", "dial_timeout", "timeout"}},
	}
	for _, tt := range tests {
		var keys []string
		for _, m := range tt.c.Mistakes() {
			keys = append(keys, m.Key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, tt.want) {
			t.Errorf("%s: %v", tt.name, tt.c.Mistakes())
		}
		s, err := New(tt.c)
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			s.Close()
		}
	}
}
