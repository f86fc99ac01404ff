package store

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// MemcachedConfig is the block of the memcached servers that gateways share, `memcached`. Version 1.6.18 or later. There is no log-in and no TLS: the
// network between has to be one's own.
type MemcachedConfig struct {
	// Addresses are host:port or unix:/path of the servers, each of which keeps its part of the replies. 10.0.0.7:11211=2 keeps twice as much as
	// others; up to =16. All gateways have to be given the same. Up to 64 servers. Default [127.0.0.1:11211].
	Addresses []string `yaml:"addresses"`
	// Namespace begins each key. Gateways share what they have in one namespace, and nothing else. Default thriftloom.
	Namespace string `yaml:"namespace"`
	// Connections is how many there are to each server. Default 2; 1 to 16.
	Connections int `yaml:"connections" min:"1" max:"16"`
	// Timeout is how long a server may take for one answer or to take in what is written, until it is left out for a while. Default 1s; 10ms to 1m.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"1m"`
	// DialTimeout bounds how long a connection takes to be made. Default 1s; 10ms to 1m.
	DialTimeout time.Duration `yaml:"dial_timeout" min:"10ms" max:"1m"`
}

// The bounds of a MemcachedConfig.
const (
	maxNodes       = 64
	maxWeight      = 16
	maxConnections = 16
	shortestWait   = 10 * time.Millisecond
	longestWait    = time.Minute
)

// DefaultMemcached returns the keys of a block that says nothing.
func DefaultMemcached() MemcachedConfig {
	return MemcachedConfig{Addresses: []string{"127.0.0.1:11211"}, Namespace: "thriftloom", Connections: 2, Timeout: time.Second, DialTimeout: time.Second}
}

// WithDefaults sets what is zero and has to be more, but for the addresses.
func (c MemcachedConfig) WithDefaults() MemcachedConfig {
	d := DefaultMemcached()
	c.Namespace = cmp.Or(c.Namespace, d.Namespace)
	c.Connections = cmp.Or(c.Connections, d.Connections)
	c.Timeout = cmp.Or(c.Timeout, d.Timeout)
	c.DialTimeout = cmp.Or(c.DialTimeout, d.DialTimeout)
	return c
}

// Mistakes returns what is wrong with a block; a zero is a default.
func (c *MemcachedConfig) Mistakes() (all []Mistake) {
	add := func(key, text string, args ...any) {
		all = append(all, Mistake{Key: key, Text: fmt.Sprintf(text, args...)})
	}
	if len(c.Addresses) == 0 {
		add("addresses", "is missing: host:port or unix:/path")
	}
	if len(c.Addresses) > maxNodes {
		add("addresses", "has %d servers, more than %d", len(c.Addresses), maxNodes)
	}
	seen := map[string]bool{}
	for i, text := range c.Addresses {
		key := fmt.Sprintf("addresses[%d]", i)
		s, err := ParseMemcachedServer(text)
		if err != nil {
			add(key, "%v", err)
		} else if seen[s.Name()] {
			add(key, "%q is there twice", s.Name())
		}
		seen[s.Name()] = true
	}
	if c.Namespace != "" && !namespace.MatchString(c.Namespace) {
		add("namespace", "%q: up to 64 letters, digits and ._:/- are wanted", c.Namespace)
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		add("connections", "%d is not 1 to %d", c.Connections, maxConnections)
	}
	for _, wait := range []struct {
		key string
		d   time.Duration
	}{{"timeout", c.Timeout}, {"dial_timeout", c.DialTimeout}} {
		if wait.d != 0 && (wait.d < shortestWait || wait.d > longestWait) {
			add(wait.key, "%v is not %v to %v", wait.d, shortestWait, longestWait)
		}
	}
	return all
}

// MemcachedServer is one of the addresses.
type MemcachedServer struct {
	Network, Address string
	Weight           int
}

// Name is how the server is called on the ring, which has to be the same for all gateways.
func (s MemcachedServer) Name() string {
	if s.Network == "unix" {
		return "unix:" + s.Address
	}
	return s.Address
}

// ParseMemcachedServer reads host:port, unix:/path, and either with =weight.
func ParseMemcachedServer(text string) (MemcachedServer, error) {
	address, weight := text, 1
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil || n < 1 || n > maxWeight {
			return MemcachedServer{}, fmt.Errorf("%q: the weight is not 1 to %d", text, maxWeight)
		}
		address, weight = text[:i], n
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return MemcachedServer{}, fmt.Errorf("%q is not unix:/path", text)
		}
		return MemcachedServer{"unix", path, weight}, nil
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return MemcachedServer{}, fmt.Errorf("%q is neither host:port nor unix:/path", text)
	}
	return MemcachedServer{"tcp", address, weight}, nil
}
