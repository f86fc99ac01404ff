package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
)

// What a block says that its method cannot do is told by its key.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		method string
		set    func(c *cache.Config)
		want   string
	}{
		{"getUser", func(c *cache.Config) { c.TTL = time.Second }, ""},
		{"getUser", func(*cache.Config) {}, ""},
		{"track", func(c *cache.Config) { c.TTL = time.Second }, ": track is oneway: it has no reply"},
		{"track", func(c *cache.Config) { c.Invalidates = []string{"getUser(id)"} }, "invalidates: track is oneway: nobody knows when it has happened"},
		{"getUser", func(c *cache.Config) { c.TTL, c.Exceptions = time.Second, map[string]time.Duration{"Gone": 1} }, "exceptions: getUser declares no exception Gone"},
		{"getUser", func(c *cache.Config) { c.Tags, c.StaleIfError = []string{"x"}, 1 }, "stale_if_error: is of replies that are kept, and none is: ttl is missing; tags: is of replies that are kept, and none is: ttl is missing"},
		{"getUser", func(c *cache.Config) { c.TTL, c.Tags = 1, []string{"user:{name}"} }, `tags: "user:{name}": getUser has no argument name`},
		{"getUser", func(c *cache.Config) { c.TTL, c.Tags = 1, []string{"user:{id"} }, `tags: "user:{id": { without }`},
		{"getUser", func(c *cache.Config) { c.TTL, c.Tags = 1, []string{"user:id}"} }, `tags: "user:id}": } without {`},
		{"search", func(c *cache.Config) { c.TTL, c.Tags = 1, []string{"w:{weight}"} }, `tags: "w:{weight}": weight is a double: a tag is made of integers, texts and enums`},
		{"getUser", func(c *cache.Config) { c.TTL, c.Tags = 1, strings.Split("abcdefghi", "") }, "tags: has 9 entries, 8 at most"},
		{"getUser", func(c *cache.Config) { c.TTL, c.Vary = 1, []string{" "} }, "vary: an entry is empty"},
		{"putUser", func(c *cache.Config) { c.TTL, c.Invalidates = time.Second, []string{"listUsers"} }, "invalidates: beside ttl: putUser either changes something, or its replies are kept"},
		{"putUser", func(c *cache.Config) { c.Invalidates = []string{"getuser(user.id)"} }, `invalidates: "getuser(user.id)": Users has no method getuser`},
		{"putUser", func(c *cache.Config) { c.Invalidates = []string{"getUser(user.id"} }, `invalidates: "getUser(user.id": ) is missing`},
		{"putUser", func(c *cache.Config) { c.Invalidates = []string{"getUser()"} }, `invalidates: "getUser()": the key of getUser has 1 values, and none is given`},
		{"putUser", func(c *cache.Config) { c.Invalidates = []string{"getUser(user.name)"} }, `invalidates: "getUser(user.name)": the key of getUser: value 1 is a i64, given is a string`},
		{"putUser", func(c *cache.Config) { c.Invalidates = []string{"getUser(user.id, user.name)"} }, `invalidates: "getUser(user.id, user.name)": the key of getUser: has 1 values, 2 are given`},
	} {
		c := cache.Default()
		tt.set(&c)
		_, mistakes := c.Compile(users.Method(tt.method), cache.Place{Service: "Users"})
		var got []string
		for _, m := range mistakes {
			got = append(got, fmt.Sprintf("%s: %s", m.Key, m.Text))
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s %+v:\n%s\nis wanted\n%s", tt.method, c, text, tt.want)
		}
	}
}
