// Package store is what is said of the stores that gateways share, apart from the clients, which pull in much.
package store

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"time"
)

// RedisConfig is the block of a Redis that gateways share, `redis`: one server, a Redis Cluster, or a master that Sentinels know. Version 6 or later,
// or Valkey.
type RedisConfig struct {
	// Addresses are host:port: of the server, of some nodes of the cluster, or of the Sentinels. Default [127.0.0.1:6379].
	Addresses []string `yaml:"addresses"`
	// Cluster says that the addresses are those of nodes of a Redis Cluster, which name the others. Default false.
	Cluster bool `yaml:"cluster"`
	// Sentinel says that the addresses are those of Sentinels, which name the server. Default not.
	Sentinel RedisSentinel `yaml:"sentinel"`
	// User is who logs in. Default the server's own default user. It has to have these rights: ~thriftloom:* (the namespace) +get +getrange +set
	// +del +unlink +exists +pttl +pexpire +time +eval +evalsha +ping +hello +client|tracking, and in a cluster +cluster|slots +cluster|shards +asking.
	User string `yaml:"user"`
	// Password is that of the user. Default none.
	Password string `yaml:"password"`
	// PasswordFile is a file that holds it, read anew at each log-in. Default none.
	PasswordFile string `yaml:"password_file"`
	// DB is the number of the database. A cluster has no other than 0. Default 0; up to 1,000,000.
	DB int `yaml:"db" max:"1000000"`
	// Namespace begins each key. Gateways share what they have in one namespace, and nothing else. Default thriftloom.
	Namespace string `yaml:"namespace"`
	// Tracking lets the server tell what changes (client tracking, of RESP3), so that replies may be kept in the gateway's memory too; false is for
	// servers that cannot. Default true.
	Tracking bool `yaml:"tracking"`
	// LostAfter is for how long nothing may come from a server, which is asked four times in it, until what is in the gateway's memory counts as
	// old. More than twice the time to the server and back is wanted. Default 80ms; 20ms to 10s.
	LostAfter time.Duration `yaml:"lost_after" min:"20ms" max:"10s"`
	// Timeout is for how long nothing may come from a server until the connection is given up and made anew. Default 1s; 100ms to 1m.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"1m"`
	// DialTimeout bounds how long a connection takes to be made, with TLS and the log-in. Default 1s; 10ms to 1m.
	DialTimeout time.Duration `yaml:"dial_timeout" min:"10ms" max:"1m"`
}

// RedisSentinel names the server that is wanted, and who asks for it.
type RedisSentinel struct {
	// Master is the name that the Sentinels have for the server.
	Master string `yaml:"master"`
	// User is who logs in at the Sentinels. Default their own default user.
	User string `yaml:"user"`
	// Password is that of the user. Default none.
	Password string `yaml:"password"`
	// PasswordFile is a file that holds it, read anew when Sentinels are looked for. Default none.
	PasswordFile string `yaml:"password_file"`
}

// DefaultRedis returns the keys of a block that says nothing.
func DefaultRedis() RedisConfig {
	return RedisConfig{Addresses: []string{"127.0.0.1:6379"}, Namespace: "thriftloom", Tracking: true, LostAfter: 80 * time.Millisecond, Timeout: time.Second, DialTimeout: time.Second}
}

// WithDefaults sets what is zero and has to be more, but for the addresses.
func (c RedisConfig) WithDefaults() RedisConfig {
	d := DefaultRedis()
	c.Namespace = cmp.Or(c.Namespace, d.Namespace)
	c.LostAfter = cmp.Or(c.LostAfter, d.LostAfter)
	c.Timeout = cmp.Or(c.Timeout, d.Timeout)
	c.DialTimeout = cmp.Or(c.DialTimeout, d.DialTimeout)
	return c
}

// Mistake is a wrong key of the block.
type Mistake struct{ Key, Text string }

// namespace has no brace, which chooses the node of a Redis Cluster, and neither spaces nor control bytes, which memcached has no room for.
var namespace = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// Mistakes returns what is wrong with a block whose values are within their bounds.
func (c *RedisConfig) Mistakes() (all []Mistake) {
	add := func(key, text string, args ...any) { all = append(all, Mistake{key, fmt.Sprintf(text, args...)}) }
	if len(c.Addresses) == 0 {
		add("addresses", "is missing: host:port")
	}
	for _, address := range c.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			add("addresses", "%q is not host:port", address)
		}
	}
	sentinel := c.Sentinel != RedisSentinel{}
	switch {
	case c.Cluster && sentinel:
		add("sentinel", "and cluster cannot both say whose the addresses are")
	case len(c.Addresses) > 1 && !c.Cluster && !sentinel:
		add("addresses", "is more than one: cluster or sentinel is missing")
	}
	if sentinel && c.Sentinel.Master == "" {
		add("sentinel.master", "is missing")
	}
	if c.Cluster && c.DB != 0 {
		add("db", "is 0 in a cluster")
	}
	if c.User != "" && c.Password == "" && c.PasswordFile == "" {
		add("password", "of user %s is missing", c.User)
	}
	if c.Sentinel.User != "" && c.Sentinel.Password == "" && c.Sentinel.PasswordFile == "" {
		add("sentinel.password", "of user %s is missing", c.Sentinel.User)
	}
	if c.Namespace != "" && !namespace.MatchString(c.Namespace) {
		add("namespace", "%q: up to 64 letters, digits and ._:/- are wanted", c.Namespace)
	}
	if c.Tracking && c.Timeout != 0 && c.Timeout < c.LostAfter {
		add("timeout", "%v is less than lost_after, %v", c.Timeout, c.LostAfter)
	}
	return all
}
