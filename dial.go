package thriftloom

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// ClientConfig says how a client calls. Zero values are the defaults named.
type ClientConfig struct {
	// Addresses are the servers: "host:port", "unix:/path", or "http://host:port/path" and the same with https; of one kind. Each call goes to the one with the fewest calls in flight.
	Addresses []string
	// Transport is how messages are laid on a connection. Default Buffered, as ThriftPy speaks.
	Transport Transport
	// Framed is Transport: Framed.
	Framed bool
	// Protocol is how values are encoded. Default Binary.
	Protocol Protocol
	// Multiplexed is the name under which a server of several services has this one: it is put before each method's, "Users:getUser".
	// Default "": none.
	Multiplexed string
	// Connections bounds the connections to one address. To a server that answers in any order, as this package's does, there are as few as
	// hold the calls in flight, up to 128 on each; to others each has one call in flight. Default 16; set it to the number of workers for
	// servers that serve one connection at a time.
	Connections int
	// Serial does not ask servers whether they answer in any order: each connection has one call in flight. Others are asked by a call of a
	// method that no service has, first on a connection; one that refuses is asked again after a minute.
	Serial bool
	// IdleExpiry is how long an unused connection is kept. Default 2.5s: ThriftPy's servers close at 3s.
	IdleExpiry time.Duration
	// Timeout bounds a call whose context has no earlier deadline. Default 60s.
	Timeout time.Duration
	// Attempts bounds how often a call is tried: again where nothing was sent, and, for methods with the annotation
	// (idempotent = "true"), where its fate is unknown. Default 3.
	Attempts int
	// MaxMessageBytes bounds one message, in bytes. Default 16,384,000.
	MaxMessageBytes int
	// TLS speaks TLS to the servers. Its ServerName is by default the host of each address. nil: none.
	TLS *tls.Config
	// User and Password are said to each server by SASL PLAIN, as Apache Thrift frames it, behind TLS where there is one; without TLS
	// everybody on the way reads them. Transport is what is inside of SASL's own frames: mostly Buffered. Default "": no login.
	User, Password string
	// Tracking is the name (app id) under which the client asks servers for ThriftPy's contrib.tracking, once on each connection. Servers
	// that do not know it are called as ever. Such a client does not ask for replies in any order. It goes with Buffered and Framed, in
	// Binary and Compact. Default "": it does not track.
	Tracking string

	dialer client.Dialer
}

// Client calls one service at one or several addresses. Safe for concurrent use: calls share one connection to a server that answers in
// any order, else each has one of its own. A call ends at its deadline or with its context, whatever the server does. Close it when it is not needed any more.
type Client struct {
	service  *service.Service
	cluster  *cluster.Cluster
	schema   *Service
	protocol Protocol
	end      context.CancelFunc
	ended    chan struct{}
}

// Dial returns a client for the service at address: "host:port" or "unix:/path", or several of them with commas between. It does not
// connect: the first calls do.
func Dial(address string, svc *Service) (*Client, error) {
	return ClientConfig{Addresses: strings.Split(address, ",")}.Dial(svc)
}

// Dial returns a client for the service. It does not connect: the first calls do. The error is an address that cannot be one.
func (c ClientConfig) Dial(svc *Service) (*Client, error) {
	if svc == nil {
		return nil, errNoService
	}
	var endpoints []rpc.Endpoint
	for _, a := range c.Addresses {
		a = strings.TrimSpace(a)
		place, err := client.ParsePlace(a)
		if err != nil && c.dialer == nil {
			return nil, fmt.Errorf("thriftloom: %w", err)
		}
		if place.HTTP && c.Transport == 0 {
			c.Transport = HTTP
		}
		if place.TLS && c.TLS == nil {
			c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		endpoints = append(endpoints, rpc.Endpoint{Address: a})
	}
	if len(endpoints) == 0 {
		return nil, fmt.Errorf("thriftloom: no address is given for %s", svc.Name)
	}
	c = c.withDefaults()
	if c.TLS != nil {
		c.dialer = client.TLSDialer(c.dialer, c.tlsFor)
	}
	w := c.wire()
	if c.User != "" {
		c.dialer = client.LoginDialer(c.dialer, func() (netio.Credentials, error) { return netio.Credentials{User: c.User, Password: c.Password}, nil })
	}
	if _, err := transport.NewSplitter(w, wire.Limits{}); err != nil {
		return nil, fmt.Errorf("thriftloom: %w", err)
	}
	if c.Tracking != "" && !w.Tracks() {
		return nil, fmt.Errorf("thriftloom: Tracking is not spoken over %s in %s", w.Kind, w.Protocol)
	}
	engine := netio.NewPortable()
	cl := cluster.New(cluster.Options{
		Name: svc.Name, Engine: engine, Wire: w, Limits: wire.Limits{MessageBytes: c.MaxMessageBytes}, Dialer: c.dialer,
		Slots: c.Connections, IdleExpiry: c.IdleExpiry, Queue: cluster.QueueConfig{MaxCalls: 65536, MaxWait: c.Timeout}, Tracking: c.Tracking,
		Shared: c.Tracking == "" && c.asks(w), SharedSlots: c.Connections * client.MaxShares,
	})
	cl.Update(endpoints)
	client := &Client{cluster: cl, schema: svc, protocol: w.Protocol, ended: make(chan struct{})}
	client.service = service.New(service.Config{Name: svc.Name, Schema: svc, Policies: c.policies(svc, cl, w.Protocol)})
	ctx, cancel := context.WithCancel(context.Background())
	client.end = cancel
	go func() {
		defer close(client.ended)
		_ = engine.Run(ctx)
	}()
	return client, nil
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Connections == 0 {
		c.Connections = 16
	}
	if c.IdleExpiry == 0 {
		c.IdleExpiry = 2500 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = deadline.Default().Timeout
	}
	if c.Attempts == 0 {
		c.Attempts = retry.Default().Attempts
	}
	return c
}

// tlsFor returns the TLS for the server at address.
func (c ClientConfig) tlsFor(address string) *tls.Config {
	config := c.TLS.Clone()
	if host, _, err := net.SplitHostPort(address); config.ServerName == "" && err == nil && !strings.HasPrefix(address, "unix:") {
		config.ServerName = host
	}
	return config
}

func (c ClientConfig) policies(svc *Service, to rpc.Handler, speaks Protocol) rpc.PerMethod[service.Policy] {
	to = carried{c.wire().Kind, to}
	if c.Multiplexed != "" {
		to = named{c.Multiplexed, to}
	}
	p := service.Policy{
		Timeout: c.Timeout, Retry: retry.Config{Attempts: c.Attempts, BudgetPercent: retry.Default().BudgetPercent}, Budget: new(budget.Budget), Upstream: to,
		Wire: translate.Policy{Protocol: speaks, Limits: wire.Limits{MessageBytes: c.MaxMessageBytes}},
	}
	all := rpc.PerMethod[service.Policy]{Other: p}
	for _, m := range svc.Methods {
		p.Idempotent = m.Annotations["idempotent"] == "true"
		all.Methods = append(all.Methods, p)
	}
	return all
}

// Handle makes one call. A call in another protocol than the client's is translated.
func (c *Client) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	return c.service.Handle(ctx, call)
}

// Service returns the service that the client calls.
func (c *Client) Service() *Service { return c.schema }

// Protocol returns the protocol that the client speaks.
func (c *Client) Protocol() Protocol { return c.protocol }

// Close closes the connections. Calls in flight fail.
func (c *Client) Close() {
	c.cluster.Close()
	c.end()
	<-c.ended
}

// Bind fills the functions of *target, a struct, with calls through the client. A field is matched to a method by its name, or by the
// tag thrift:"getUser". Declared exceptions come back as the Go types that Exceptions names, else as *Exception; all else that fails is
// an *Error. The error of Bind lists every mismatch.
func Bind(c *Client, target any, opts ...Option) error {
	return bind.Client(c.schema, c, target, opts...)
}

// Pair returns a client that calls impl through the whole wire, in memory: for tests, also in a bubble of testing/synctest. Close the
// client to end both.
func Pair(svc *Service, impl any, opts ...Option) (*Client, error) {
	s, err := NewServer(svc, impl, opts...)
	if err != nil {
		return nil, err
	}
	network := memnet.New()
	const address = "pair:1"
	l, err := network.Listen(address)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, a string) (net.Conn, error) { return network.Dial(ctx, a) }
	c, err := ClientConfig{Addresses: []string{address}, dialer: dial}.Dial(svc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(ctx, l)
	}()
	end := c.end
	c.end = func() {
		end()
		cancel()
		<-served
	}
	return c, nil
}
