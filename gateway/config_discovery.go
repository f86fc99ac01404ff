package gateway

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster/resolve/dns"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// DNS finds servers by a name.
type DNS struct {
	// Name is host:port, or, for SRV records, the service's name (_thrift._tcp.users.internal). One that does not end in a dot is looked up
	// as the system does it, below its search domains too. /etc/hosts is not looked at.
	Name string `yaml:"name"`
	// Type is which records are asked for. auto: those of A, or where a name has none, those of AAAA, since a host that has both is one
	// server; SRV where name has no port. both: A and AAAA, each address a server. Of SRV the records of the lowest priority are taken, with
	// their weights; weight 0 beside others takes no new call. Default auto.
	Type string `yaml:"type" oneof:"auto,a,aaaa,both,srv"`
	// Server is the address (ip:port) of the one DNS server that is asked. Default those of /etc/resolv.conf, which is read anew each time;
	// Windows has none, and needs a server here.
	Server string `yaml:"server"`
	// MinTTL is how long an answer is relied upon at least, whatever its TTL is. Default 1s; 100ms to 1h.
	MinTTL time.Duration `yaml:"min_ttl" min:"100ms" max:"1h"`
	// MaxTTL is how long an answer is relied upon at most, whatever its TTL is. Default 5m; 1s to 24h.
	MaxTTL time.Duration `yaml:"max_ttl" min:"1s" max:"24h"`

	at place
}

func newDNS() DNS { return DNS{Type: dns.Auto, MinTTL: dns.DefaultMinTTL, MaxTTL: dns.DefaultMaxTTL} }

// DecodeYAML takes a name or a block.
func (n *DNS) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain DNS
	*n = newDNS()
	n.at = place{node, path}
	short(d, node, path, &n.Name, (*plain)(n))
}

// File is the path of a file of endpoints.
type File struct {
	Path string
	at   place
}

// DecodeYAML takes a path.
func (f *File) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	f.at = place{node, path}
	if s, ok := d.Text(node, path); ok {
		f.Path = s
	}
}

// Etcd finds servers in etcd.
type Etcd struct {
	// Endpoints are the members of etcd, as host:port or http(s)://host:port; one that answers is enough.
	Endpoints []string `yaml:"endpoints"`
	// Prefix is what the keys of the servers begin with (/services/users/). Each value is an address, or JSON with address, slots, weight,
	// zone and labels, a block; weight 0 takes no new call.
	Prefix string `yaml:"prefix"`
	// Username is as whom the gateway logs in. Default nobody.
	Username string `yaml:"username"`
	// PasswordFile is a file that holds the password. It is read anew at each login.
	PasswordFile string `yaml:"password_file"`
	// TLS speaks TLS to etcd.
	TLS ClientTLS `yaml:"tls"`

	at place
}

// DecodeYAML notes where the block stands.
func (e *Etcd) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Etcd
	e.at = place{node, path}
	d.Decode(node, path, (*plain)(e))
}

// Consul finds servers in Consul. Meta data of an instance may have slots, weight, zone and labels (size=big,version=v2); weight 0 takes
// no new call.
type Consul struct {
	// Address is the agent's: host:port, http(s)://host:port, or unix:///path. Default 127.0.0.1:8500.
	Address string `yaml:"address"`
	// Service is the name of the service in Consul.
	Service string `yaml:"service"`
	// Tags are tags of which an instance has to have each. Default none.
	Tags []string `yaml:"tags"`
	// Datacenter is where the service is looked up. Default the agent's.
	Datacenter string `yaml:"datacenter"`
	// Health is what the checks of an instance have to say for it to be used. passing: each passes; warning: none is worse than that; any.
	// Default passing.
	Health string `yaml:"health" oneof:"passing,warning,any"`
	// TokenFile is a file that holds the ACL token. It is read anew for each request.
	TokenFile string `yaml:"token_file"`
	// TLS speaks TLS to the agent.
	TLS ClientTLS `yaml:"tls"`

	at place
}

func newConsul() Consul { return Consul{Address: "127.0.0.1:8500", Health: "passing"} }

// DecodeYAML notes where the block stands.
func (c *Consul) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Consul
	c.at = place{node, path}
	d.Decode(node, path, (*plain)(c))
}
