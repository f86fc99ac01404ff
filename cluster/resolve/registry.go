package resolve

import (
	"crypto/tls"
	"time"
)

// EtcdConfig is what resolve/etcd needs. It stands here so that who hands it over does not pull in the client.
type EtcdConfig struct {
	Endpoints []string // host:port or URLs
	Prefix    string   // of the keys
	Username  string   // "": nobody logs in
	// Password, asked at each login, is for Username.
	Password func() (string, error)
	// TLS, asked for each connection, may be nil: it is then as the URLs say.
	TLS func() *tls.Config
}

// ConsulConfig is what resolve/consul needs.
type ConsulConfig struct {
	Address    string // host:port, a URL, or unix:///path
	Service    string
	Tags       []string // all of which an instance has to have
	Datacenter string   // "": the agent's
	Health     string   // passing, warning (or better) or any; "" is passing
	// Token, asked for each request, may be nil.
	Token func() (string, error)
	// TLS, asked for each connection, may be nil: none is spoken.
	TLS func() *tls.Config
	// Wait bounds one blocking query. Default 30s.
	Wait time.Duration
}
