package thriftloom

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// ClientConfig says how a client calls. Zero values are the defaults named.
type ClientConfig struct {
	// Addresses are the servers: "host:port", "unix:/path", or "http://host:port/path" and the same with https; of one kind.
	Addresses []string
	// Endpoints are servers of which more than the address is to be said: a name, slots (instead of Connections), a weight, a zone, labels ("size=big").
	Endpoints []Endpoint
	// Resolver gives the servers and tells when others are there; Addresses and Endpoints are then those until it has given some. Calls wait
	// for its first set as they wait for a slot. nil: the servers stay as they are.
	Resolver Resolver
	// Balance is how the server for an attempt is chosen; what is not set is as balance.Default has it: of the servers with a free slot the
	// one that is expected to answer first.
	Balance balance.Config
	// Queue bounds the calls that wait for a slot. Default 65,536 calls, each for as long as Timeout.
	Queue cluster.QueueConfig
	// Policy is what holds for all methods, and Methods, by their names in the IDL, what holds for one: of it, what is set goes before Policy,
	// field by field. A policy's Upstream is another handler that answers the calls, such as a Client; its default is this client's servers.
	// Tries that may be a second time share one Budget, hedges too; a policy's Hedge needs its Percent alone, and learns for itself. Timeout, Attempts, MaxMessageBytes and Balance say the same of all methods in fewer words;
	// Policy goes before them. Idempotent holds as well where the IDL annotates a method with (idempotent = "true").
	Policy  service.Policy
	Methods map[string]service.Policy
	// Cache is which methods have their replies kept, by name, and which make replies void: of a config, what is not set is as cache.Default has
	// it. They are kept in Service.Cache, which is to be set then; clients of one service may share it:
	//
	//	memory := near.New(64 << 20) // to be closed in the end
	//	ClientConfig{
	//		Cache:   map[string]cache.Config{"getUser": {TTL: 30 * time.Second}, "putUser": {Invalidates: []string{"getUser(user.id)"}}},
	//		Service: service.Config{Cache: cache.NewState(cache.Options{Near: memory})},
	//	}
	Cache map[string]cache.Config
	// Service is what the layers have beside their policies, such as Sinks, which see the record of each call. Name is by default the
	// service's in the IDL; Schema and Policies are not set here.
	Service service.Config
	// OnState, if set, is told when a server is lost ("down", three times in a row), "ejected" (it fails calls that others answer), or "up"
	// again. It is to be quick.
	OnState func(endpoint, state string)
	// Transport is how messages are laid on a connection. Default Buffered, as ThriftPy speaks.
	Transport Transport
	// Framed is Transport: Framed.
	Framed bool
	// Protocol is how values are encoded. Default Binary.
	Protocol Protocol
	// Multiplexed is the name under which a server of several services has this one: it is put before each method's, "Users:getUser".
	// Default "": none.
	Multiplexed string
	// Zone is where the client stands: of the servers with a free slot those of this zone go before. Default "": wherever they stand.
	Zone string
	// Checks are of servers without traffic, none of which is asked while its Interval is zero. Method is one of the service that takes no
	// arguments; any answer to it is a sign of life.
	Checks cluster.Checks
	// Connections bounds the connections to one address. To a server that answers in any order, as this package's does, there are as few as
	// hold the calls in flight, up to 128 on each; to others each has one call in flight. Default 16, with Auto 64; set it to the number of workers
	// for servers that serve one connection at a time.
	Connections int
	// Auto learns how many of its Connections a server that answers in order is to have calls on, from what it gets done with more of them and with
	// fewer: two or three where the calls work, many where they wait.
	Auto bool
	// Serial does not ask servers whether they answer in any order: each connection has one call in flight. Others are asked by a call of a
	// method that no service has, first on a connection; one that refuses is asked again after a minute.
	Serial bool
	// IdleExpiry is how long an unused connection is kept. Default 2.5s: ThriftPy's servers close at 3s.
	IdleExpiry time.Duration
	// Timeout bounds a call whose context has no earlier deadline. Default 60s.
	Timeout time.Duration
	// Attempts bounds how often a call is tried: again where nothing was sent, and, for methods with the annotation
	// (idempotent = "true") or a policy that says so, where its fate is unknown. Default 3; at most 10.
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
	running  sync.WaitGroup // what ends with it
	found    found          // where it has a resolver
}

// Dial returns a client for the service at address: "host:port" or "unix:/path", or several of them with commas between. It does not
// connect: the first calls do.
func Dial(address string, svc *Service) (*Client, error) {
	return ClientConfig{Addresses: strings.Split(address, ",")}.Dial(svc)
}

// Dial returns a client for the service. It does not connect: the first calls do. The error lists every mistake of the config.
func (c ClientConfig) Dial(svc *Service) (*Client, error) {
	if svc == nil {
		return nil, errNoService
	}
	if err := c.check(svc); err != nil {
		return nil, err
	}
	endpoints := c.endpoints()
	for _, e := range endpoints {
		place, _ := client.ParsePlace(e.Address)
		if place.HTTP && c.Transport == 0 {
			c.Transport = HTTP
		}
		if place.TLS && c.TLS == nil {
			c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
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
		Slots: c.Connections, Auto: c.Auto, Zone: c.Zone, Checks: c.checks(), IdleExpiry: c.IdleExpiry, Queue: c.Queue, Balance: c.Balance, Tracking: c.Tracking, OnState: c.OnState,
		Shared: c.Tracking == "" && c.asks(w), SharedSlots: c.Connections * client.MaxShares,
	})
	cl.Update(endpoints)
	client := &Client{cluster: cl, schema: svc, protocol: w.Protocol}
	var to rpc.Handler = carried{w.Kind, cl}
	if c.Multiplexed != "" {
		to = named{c.Multiplexed, to}
	}
	if c.Resolver != nil {
		client.found.some = make(chan struct{})
		to = awaiting{&client.found, svc.Name, c.Queue, new(atomic.Int64), to}
	}
	made := c.Service
	made.Name, made.Schema, made.Policies = cmp.Or(made.Name, svc.Name), svc, c.policies(svc, to)
	made.Breaker, made.Limits = cmp.Or(made.Breaker, new(breaker.Breaker)), cmp.Or(made.Limits, limit.NewState())
	client.service = service.New(made)
	ctx, cancel := context.WithCancel(context.Background())
	client.end = cancel
	client.running.Go(func() { _ = engine.Run(ctx) })
	if c.Checks.Interval > 0 {
		client.running.Go(func() { cl.Watch(ctx) })
	}
	if c.Resolver != nil {
		if len(endpoints) > 0 {
			client.found.once.Do(func() { close(client.found.some) })
		}
		client.running.Go(func() { client.resolve(ctx, c.Resolver) })
	}
	return client, nil
}

// tlsFor returns the TLS for the server at address.
func (c ClientConfig) tlsFor(address string) *tls.Config {
	config := c.TLS.Clone()
	if host, _, err := net.SplitHostPort(address); config.ServerName == "" && err == nil && !strings.HasPrefix(address, "unix:") {
		config.ServerName = host
	}
	return config
}

// Handle makes one call. A call in another protocol than the client's is translated.
func (c *Client) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	return c.service.Handle(ctx, call)
}

// Service returns the service that the client calls.
func (c *Client) Service() *Service { return c.schema }

// Snapshot returns the servers as they are now: their state, calls, connections and latencies.
func (c *Client) Snapshot() cluster.Snapshot { return c.cluster.Snapshot() }

// Protocol returns the protocol that the client speaks.
func (c *Client) Protocol() Protocol { return c.protocol }

// Close closes the connections. Calls in flight fail.
func (c *Client) Close() {
	c.cluster.Close()
	c.end()
	c.running.Wait()
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
