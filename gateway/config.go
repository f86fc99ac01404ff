package gateway

import (
	"time"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/layer/retry"
)

// Config is thriftloom.yaml as it is written. Load fills Resolved with what it comes to.
//
// docs/config.md is printed from these structs: a field's comment is what the manual says of its key.
type Config struct {
	// Listen is where calls of all services come in. Each entry is an address (host:port, or unix:/path), or a block.
	Listen Listeners `yaml:"listen"`
	// HTTP is the address of JSON over HTTP and Thrift over HTTP.
	HTTP any `yaml:"http" built:"no"`
	// Health is the address of /livez, /readyz and /metrics, read-only. Not opened by default.
	Health string `yaml:"health"`
	// Admin is the address of the dashboard, the API and what Health has, or a block. Not opened by default. Beyond loopback it needs
	// a token.
	Admin Admin `yaml:"admin"`
	// State is the folder of what outlives a restart. Default .thriftloom beside the file, or $STATE_DIRECTORY.
	State string `yaml:"state"`
	// Include names further files, whose upstreams and services are added: paths, which have to be there, or patterns (services.d/*.yaml),
	// which may match none. An included file has the keys `upstreams` and `services` and no others; paths in it are relative to it.
	Include []string `yaml:"include"`
	// Defaults hold for every service that does not say otherwise.
	Defaults Defaults `yaml:"defaults"`
	// Gateways says who shares the servers of this file. A number is how many gateways do, this one included: each takes its share of every
	// endpoint's slots, rounded down, and one at least. With a block the gateways see each other and lend each other slots. Default this
	// one alone; 1 to 64.
	Gateways Gateways `yaml:"gateways"`
	// Zone is where this gateway stands: endpoints whose zone is the same are taken first while they have free slots, and others as far as
	// these do not do. Default $THRIFTLOOM_ZONE; without either, nobody asks where an endpoint stands.
	Zone string `yaml:"zone"`
	// Upstreams are places that calls go to which several services and methods share, with their slots.
	Upstreams strictyaml.Blocks[SharedUpstream] `yaml:"upstreams"`
	// Services are the services, by a label of your choice.
	Services strictyaml.Blocks[Service] `yaml:"services"`
	// Stores are the memory behind caches and global limits.
	Stores Stores `yaml:"stores"`
	// Durable is where durable calls are kept.
	Durable Durable `yaml:"durable" built:"no"`
	// Metrics says where metrics go besides /metrics. It has no keys yet.
	Metrics Metrics `yaml:"metrics"`
	// Logs says what is logged. Logs go to standard error, as JSON.
	Logs Logs `yaml:"logs"`
	// Traces says where traces go.
	Traces any `yaml:"traces" built:"no"`
	// Engine says how connections are driven: net, a goroutine for each; epoll, a few loops for all, on Linux, which costs less CPU a call
	// and no memory for a connection at rest. TLS is driven by net always. It changes with a restart only. Default auto, which is what
	// $THRIFTLOOM_ENGINE says, or else epoll where there is one.
	Engine string `yaml:"engine" oneof:"auto,net,epoll"`
	// Processors says how many of the machine's processors the Go scheduler has: all, or, auto, as many as the work fills, which costs less
	// CPU a call and takes a tenth of a second to follow a burst. It changes with a restart only. GOMAXPROCS goes before. Default auto.
	Processors string `yaml:"processors" oneof:"auto,all"`
	// Drain says how the gateway ends on SIGTERM and SIGINT.
	Drain Drain `yaml:"drain"`
	// MaxBufferedBytes bounds the messages that the whole process holds at one time, in bytes: what came and is not done with, and what
	// waits to be written. Past it requests and replies are refused with RESOURCE_EXHAUSTED; calls of up to a KiB still pass. `up` holds
	// the whole process to it and 24 MiB more, where GOMEMLIMIT says nothing else. Default 256MiB, or four times
	// max_message_bytes where that is more; max_message_bytes at least.
	MaxBufferedBytes strictyaml.Bytes `yaml:"max_buffered_bytes" min:"1KiB" max:"1024GiB"`
	// MaxMessageBytes bounds one message, in bytes. Default 16384000, which is Apache Thrift's; 1KiB to 1GiB.
	MaxMessageBytes strictyaml.Bytes `yaml:"max_message_bytes" min:"1KiB" max:"1GiB"`

	// Resolved is what the file comes to.
	Resolved Resolved `yaml:"-"`
}

// StartTime is the longest that replicas may take to start.
func (c *Config) StartTime() (longest time.Duration) {
	for _, u := range c.Resolved.upstreams {
		if u.run != nil {
			longest = max(longest, u.run.StartTimeout)
		}
	}
	return longest
}

// Listener is one address where calls come in.
type Listener struct {
	// Address is host:port, :port for every interface, or unix:/path.
	Address string `yaml:"address"`
	// ReusePort shares the address with other gateways of the same user on this machine, which say the same: the kernel spreads callers'
	// connections over them (SO_REUSEPORT). Each has a `state` of its own. Linux, and not for unix sockets. Default false.
	ReusePort bool `yaml:"reuse_port"`
	// TLS ends TLS at this listener.
	TLS ServerTLS `yaml:"tls"`
	// SASL asks each caller who it is, by SASL PLAIN as Apache Thrift frames it, behind TLS where there is one.
	SASL ServerSASL `yaml:"sasl"`
	// MaxConnections bounds the callers' connections. Default 10000; 1 to 1,000,000.
	MaxConnections int `yaml:"max_connections" min:"1" max:"1000000"`
	// MaxPerCaller bounds the connections of one caller's address: an IPv4 address, or the /64 network of an IPv6 address. Default seven
	// eighths of max_connections, for callers on other machines: here all have the same; 1 to 1,000,000.
	MaxPerCaller int `yaml:"max_connections_per_caller" min:"1" max:"1000000"`
	// StallTimeout bounds how long a caller may take in mid-message: a request that began has to come whole within it, and a second more
	// for each 64 KiB; and some of what waits to be written to the caller has to be taken within it. Between messages a connection may
	// be idle for ever. Default 60s; 1s to 1h.
	StallTimeout time.Duration `yaml:"stall_timeout" min:"1s" max:"1h"`
	// Services are the labels of the services that are served here. Default all.
	Services []string `yaml:"services"`
	// Default is the label of the service that gets a bare method name which fits two.
	Default string `yaml:"default"`

	at place
}

// ServerTLS is what a listener needs for TLS. The files are read anew when they change; connections that are open stay as they are.
type ServerTLS struct {
	// CertFile is the certificate and its chain, in PEM.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the certificate's key, in PEM, without a passphrase.
	KeyFile string `yaml:"key_file"`
	// Certificates are more of them: a caller gets the first that fits the name that it asks for (SNI), else that of cert_file.
	Certificates []CertPair `yaml:"certificates"`
	// ClientCAFile is who may sign callers' certificates, in PEM; with it each caller needs one. Default nobody is asked.
	ClientCAFile string `yaml:"client_ca_file"`
	// MinVersion is the least version of TLS. Default 1.2.
	MinVersion string `yaml:"min_version" oneof:"1.2,1.3"`

	at place
}

// ServerSASL is who may log in at a listener. A user is user:NAME in lists of allow, and in what is counted by caller.
type ServerSASL struct {
	// UsersFile has a line for each user, user:password; what begins with # is a comment. It is read anew at each reload; connections that
	// are open stay as they are.
	UsersFile string `yaml:"users_file"`

	at place
}

// ClientSASL is what a login at a server needs.
type ClientSASL struct {
	// User is who the gateway says it is.
	User string `yaml:"user"`
	// PasswordFile is a file that holds the password. It is read anew for each connection.
	PasswordFile string `yaml:"password_file"`

	at place
}

// CertPair is a certificate with its key.
type CertPair struct {
	// CertFile is the certificate and its chain, in PEM.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the certificate's key, in PEM, without a passphrase.
	KeyFile string `yaml:"key_file"`
}

// Admin is the admin listener.
type Admin struct {
	// Address is host:port or unix:/path.
	Address string `yaml:"address"`
	// Token is what a request has to carry to change anything. Default none, which is for loopback only.
	Token string `yaml:"token"`
	// TokenFile is a file that holds the token.
	TokenFile string `yaml:"token_file"`
	// TLS ends TLS at this listener.
	TLS ServerTLS `yaml:"tls"`
	// Profiles opens /debug/pprof/, the profiles of Go's runtime, to whoever may change something. Default false.
	Profiles bool `yaml:"profiles"`

	at place
}

// Gateways is a number, or who the gateways are.
type Gateways struct {
	N int // 0: the file does not say
	// Listen is host:port, of UDP, where this gateway hears the others.
	Listen string `yaml:"listen"`
	// Peers are where the others hear, by host:port; the own address may be among them.
	Peers []string `yaml:"peers"`
	// Name is this gateway's name. Of those that live, the one with the lowest name says who may use which slot. Default the address that
	// it listens at.
	Name string `yaml:"name"`
	// Key is what all gateways know, 16 bytes at least: messages that are not sealed with it are thrown away. Default none, which is for
	// loopback only.
	Key string `yaml:"key"`
	// KeyFile is a file that holds the key.
	KeyFile string `yaml:"key_file"`
	// Share is what the gateways do with the servers that they share: slots, they lend each other slots, so that together they never have
	// more connections than a server has slots; view, each may use every slot and tells the others how many calls it has at each server, and
	// all choose by that; both, slots are lent, and which one a call gets is chosen by what all have. An upstream may say otherwise. Default
	// slots.
	Share string `yaml:"share" oneof:"slots,view,both"`

	at place
}

// Defaults hold for every service that does not say otherwise.
type Defaults struct {
	Cluster cluster.Config `yaml:",inline"`
	// Balance says how an endpoint is chosen: the name of a policy, or a block. Default slots.
	Balance  Balance  `yaml:"balance"`
	Policies Policies `yaml:",inline"`
}

// Policies may stand in `defaults`, in a service and in a method; the more specific place wins, key by key.
type Policies struct {
	Deadline deadline.Config `yaml:",inline"`
	// Allow is who may call: networks and addresses (10.0.0.0/8), identities of callers' certificates (spiffe://acme/web, with /* at the
	// end all below it, or a host name), users who have logged in (user:alice), unix for unix sockets, * for anyone. An empty
	// list lets nobody in. The more specific list replaces the other. Default anyone.
	Allow Allow `yaml:"allow"`
	// Retry says how calls are tried again.
	Retry retry.Config `yaml:"retry"`
	// RequiredFields says what becomes of a call whose arguments lack a field that the IDL requires, in them or in a struct inside: off,
	// nobody looks, as with ThriftPy; warn, it is counted, and logged now and then; refuse, it fails with PROTOCOL_ERROR before
	// anything is sent. A field with a default is never missing. Default off.
	RequiredFields required.Mode `yaml:"required_fields" oneof:"off,warn,refuse"`
	// Hedge makes a second attempt, at another endpoint, of a call whose first one is late: the first reply of the two is the call's. It holds for
	// methods that are idempotent and not oneway. true or a block, {}, turns it on. Default false.
	Hedge Hedge `yaml:"hedge"`
	// Breaker refuses the calls of one method by one caller with UNAVAILABLE where they end their handlers wherever they are made, and lets one of them
	// through after 1s, 2s, 4s and so on, 30s at most, until one is answered. true or a block, {}, turns it on. Default false.
	Breaker Breaker `yaml:"breaker"`
	// Limit bounds how many calls are taken: a rule, or a list of them, all of which a call has to pass. A call beyond one is refused at once,
	// with RESOURCE_EXHAUSTED. The more specific list replaces the other. Default none.
	Limit Limits `yaml:"limit"`
	// Priority says whose calls go first, and whose are refused first, where there is not room for all: a class, or a block. Default normal.
	Priority Priority `yaml:"priority"`
	// Subset limits calls to the endpoints that have certain labels. off as with mirror. Default off.
	Subset Subset `yaml:"subset"`
	// Cache keeps replies, and answers equal calls with them; equal calls that are under way at one time are made once. It holds for methods that
	// have a block of their own ({} is one, or true); what stands at a service or in defaults holds for those as far as they do not say
	// otherwise. Default false.
	Cache Cache `yaml:"cache"`
	// Mirror copies calls of idempotent methods to another upstream, whose replies no caller waits for, and compares them. off: not even where
	// a less specific place says so. Default off.
	Mirror Mirror `yaml:"mirror"`
	// Canary sends a share of the calls, or those with a header or an argument, to another upstream. off as with mirror. Default off.
	Canary Canary `yaml:"canary"`
	// Faults makes calls fail or wait on purpose, to see whether callers bear it. off as with mirror. Default off.
	Faults Faults `yaml:"faults"`
}

// Service is one service: its IDL, where it is served, where its calls go, and its policies.
type Service struct {
	// Service is the service's name in the IDL. Default the label.
	Service string `yaml:"service"`
	// IDL is the path of the .thrift file, or a block. A file beside it that ends in .policy.yaml (users.policy.yaml for users.thrift) may
	// hold any of the keys here but service, idl, listen and upstream; it holds for all services of the IDL. What stands here is stronger,
	// and what stands in annotations weaker; of a service and a method the method is.
	IDL IDL `yaml:"idl"`
	// Listen is the service's own address or addresses, besides the shared ones; the form is that of `listen`.
	Listen Listeners `yaml:"listen"`
	// Upstream is where calls go: a name out of `upstreams`, or a block.
	Upstream UpstreamRef `yaml:"upstream"`
	// UnknownMethods says what becomes of a call to a method that the IDL does not have, where the listener leads to this service alone.
	// Default forward.
	UnknownMethods string `yaml:"unknown_methods" oneof:"forward,refuse"`
	// OnCrash says what a caller gets when a handler ends without a reply: an INTERNAL_ERROR, or, as ThriftPy does it, a closed
	// connection. Default exception.
	OnCrash string `yaml:"on_crash" oneof:"exception,close"`
	// Required makes readiness ask for this service for ever.
	Required bool           `yaml:"required"`
	Cluster  cluster.Config `yaml:",inline"`
	// Balance says how an endpoint is chosen: the name of a policy, or a block. Default slots.
	Balance Balance `yaml:"balance"`
	// Health says how endpoints without traffic are looked after, those of a shared upstream excepted. Default they are not: what calls
	// meet is all that is known of an endpoint.
	Health Health `yaml:"health"`
	// Scale says when replicas are added and taken away.
	Scale any `yaml:"scale" built:"no"`
	// Annotations says which policies are taken from annotations of the IDL. all: every key of a service or a method, with a dot before
	// each key of a block (retry.attempts = "2"). Default idempotent of methods alone.
	Annotations string   `yaml:"annotations" oneof:"all"`
	Policies    Policies `yaml:",inline"`
	// Methods are policies of single methods, by the method's name in the IDL.
	Methods strictyaml.Blocks[Method] `yaml:"methods"`
}

// IDL names a .thrift file.
type IDL struct {
	// Path is the .thrift file.
	Path string `yaml:"path"`
	// Include is folders in which its includes are looked up, after its own.
	Include []string `yaml:"include"`
}

// Health is the health check of endpoints. An empty block, {}, is one with every default.
type Health struct {
	// Method is called, without arguments, to see whether an endpoint lives; any answer proves it. Default a name that no service has.
	Method string `yaml:"method"`
	// Interval is after what time without an answer to a call an endpoint is asked. A check takes one of its slots, for as long as it takes.
	// 0 means that only the first sign of life is asked for. Default 10s; 0 to 1h.
	Interval time.Duration `yaml:"interval" max:"1h"`
	// Timeout bounds a check. An endpoint that works at no call and leaves three in a row without an answer is down; one that cannot be
	// reached is down as it would be for a call. Default 1s; 10ms to 1m.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"1m"`
}

// SharedUpstream is an upstream of several services.
type SharedUpstream struct {
	Upstream `yaml:",inline"`
	// Health says how endpoints without traffic are looked after; a method of multiplexed servers is SERVICE:METHOD. It is a key of
	// `upstreams` alone: a service with an upstream of its own says it for itself. Default they are not.
	Health Health `yaml:"health"`
}

// Upstream is where calls go. Exactly one of run, endpoints, dns, file, docker, kubernetes, consul and etcd has to stand in it.
type Upstream struct {
	// Run starts the servers and keeps them running.
	Run Run `yaml:"run"`
	// Endpoints are the servers. Each entry is an address (host:port, or unix:/path), or a block.
	Endpoints []Endpoint `yaml:"endpoints"`
	// DNS is a name and a port (users.internal:6000), or a service name (_thrift._tcp.users.internal), whose addresses are the servers, or
	// a block. It is asked again when its TTL is over.
	DNS DNS `yaml:"dns"`
	// File is the path of a YAML or JSON file with one key, endpoints, whose entries are those of `endpoints`; weight may be 0 there, which
	// takes no new call. It is followed: a file that is broken changes nothing.
	File File `yaml:"file"`
	// Docker finds the servers by label.
	Docker any `yaml:"docker" built:"no"`
	// Kubernetes finds the servers as pods.
	Kubernetes any `yaml:"kubernetes" built:"no"`
	// Consul finds the servers in Consul, as the instances of a service.
	Consul Consul `yaml:"consul"`
	// Etcd finds the servers in etcd, as values under a prefix.
	Etcd Etcd `yaml:"etcd"`
	// HoldEmpty is how long the last known servers stay in use after dns, file, consul or etcd has begun to say that there is none; then calls
	// are refused. One that fails or cannot be reached changes nothing, for as long as that takes. 0 believes it at once. Default 30s; 0s to 24h.
	HoldEmpty time.Duration `yaml:"hold_empty" min:"0s" max:"24h"`
	// Server names how the servers serve; the table below says what follows. Default the strictest: one connection, idle for 1.5s.
	Server string `yaml:"server" oneof:"threaded,simple,gunicorn-sync,gunicorn-gevent,gunicorn-async,aio,tornado,http,concurrent"`
	// Slots is how many calls one endpoint works at, at one time, or auto: then it is learned for each endpoint, 512 at most. Default by server; 1 to 65536.
	Slots Slots `yaml:"slots"`
	// Gateways is how many gateways share these servers, whatever the top of the file says: 1 where no other one uses them. Replicas of
	// `run` are this gateway's own, and never shared. 1 to 64.
	Gateways int `yaml:"gateways" min:"1" max:"64"`
	// Share is what gateways that see each other do with these servers, as in the block gateways. Servers whose workers serve one connection
	// at a time need slots or both. Default as there.
	Share string `yaml:"share" oneof:"slots,view,both"`
	// Transport is how the servers lay messages on a connection. Default buffered, ThriftPy's own; framed for server: tornado, http for
	// server: http. Over http an endpoint may be a URL, http://host:port/path; https:// needs a block tls, which may be empty.
	// Over header (THeader) a call's key-value headers are passed on unchanged, and those of its reply are passed back.
	Transport string `yaml:"transport" oneof:"buffered,framed,header,http"`
	// Protocol is the encoding that the servers speak: binary, compact, json (ThriftPy's own) or apachejson. Calls that come in another one
	// are translated. ThriftPy's servers answer a second message in apachejson on a connection with the first one's answer: towards them it
	// is for transport http. Default binary.
	Protocol string `yaml:"protocol" oneof:"binary,compact,json,apachejson"`
	// Multiplexed puts the IDL's name of the service before each method's, as servers with a TMultiplexedProcessor want it. Such a server
	// closes the connection on a method that it does not have, which looks like a failed handler: `unknown_methods: refuse` tells them
	// apart. Default false.
	Multiplexed bool `yaml:"multiplexed"`
	// Tracking is the name (app id) under which the gateway asks the servers for ThriftPy's contrib.tracking, once on each connection. Those
	// that have it get a tracking header before each call: the caller's own, unchanged, or one that begins a chain and has the trace context
	// (traceparent, tracestate, baggage) that came in transport headers. Those that have not are called as ever. A tracked server must have a
	// processor for each connection. Only in binary and compact, buffered or framed, and not with multiplexed servers. Callers that track
	// are understood there too; elsewhere they are told that there is no tracking, and go on without. Default off.
	Tracking string `yaml:"tracking"`
	// TLS speaks TLS to the servers.
	TLS ClientTLS `yaml:"tls"`
	// SASL logs in at the servers by SASL PLAIN, behind TLS where there is one; without it everybody on the way reads the password.
	// transport is what is inside of SASL's own frames: mostly buffered.
	SASL ClientSASL `yaml:"sasl"`
}

// UpstreamRef is a name out of `upstreams`, or an upstream of the service's own.
type UpstreamRef struct {
	Name     string // "" for its own
	Upstream `yaml:",inline"`
}

// ClientTLS is what TLS to a server needs. An empty block, {}, is TLS with every default. The files are read anew when they change.
type ClientTLS struct {
	// CAFile is who may sign the servers' certificates, in PEM. Default the system's authorities.
	CAFile string `yaml:"ca_file"`
	// CertFile is the gateway's own certificate and its chain, in PEM, for servers that ask for one.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the certificate's key, in PEM, without a passphrase.
	KeyFile string `yaml:"key_file"`
	// ServerName is the name that the servers' certificates have to be for. Default the host of each address; over a unix socket, which
	// has none, any.
	ServerName string `yaml:"server_name"`
	// Verify says what of a server's certificate has to be right. full: who signed it, and its name. chain: who signed it alone, for
	// private authorities whose certificates are for no host. Default full.
	Verify string `yaml:"verify" oneof:"full,chain"`
	// MinVersion is the least version of TLS. Default 1.2.
	MinVersion string `yaml:"min_version" oneof:"1.2,1.3"`

	at place
}

// Run starts servers as processes.
type Run struct {
	// Command is the program and its arguments. In them, and in values of env, {socket} stands for the path of a unix socket to serve
	// on, {port} for a port of the loopback interface, and {replica} for the replica's number, from 1; exactly one of the first two has
	// to be there.
	Command []string `yaml:"command"`
	// Replicas is how many are started, or a block. Default 1; 0 to 1000.
	Replicas Replicas `yaml:"replicas"`
	// Dir is the folder in which they run. Default the file's.
	Dir string `yaml:"dir"`
	// Env is variables of their environment, on top of the gateway's own.
	Env map[string]string `yaml:"env"`
	// User is the user as whom they run, which only root may set. Default the gateway's.
	User string `yaml:"user"`
	// Adopt keeps the replicas running while another process of the gateway takes this one's place, instead of starting new ones. Linux
	// only. Default false.
	Adopt bool `yaml:"adopt"`
	// StopTimeout is how long one may take to end after SIGTERM before it is killed; 0 kills at once. Default 10s; 0 to 10m.
	StopTimeout time.Duration `yaml:"stop_timeout" max:"10m"`
	// StartTimeout is how long one may take until it answers; past it, it is started anew. Default 10s; 100ms to 10m.
	StartTimeout time.Duration `yaml:"start_timeout" min:"100ms" max:"10m"`
}

// Replicas is a number, or the bounds of one.
type Replicas struct {
	N int
	// Min is the fewest that run. A block of bounds is not built yet.
	Min int `yaml:"min" max:"1000"`
	// Max is the most that run. A block of bounds is not built yet.
	Max int `yaml:"max" max:"1000"`
}

// Endpoint is one server.
type Endpoint struct {
	// Address is host:port or unix:/path.
	Address string `yaml:"address"`
	// Slots is how many calls it works at, at one time, or auto. Default the upstream's; 1 to 65536.
	Slots Slots `yaml:"slots"`
	// Weight is its share of the calls beside the others'. 0 drains it: it takes no new call, and those that it works at go on. Default 1;
	// 0 to 1000.
	Weight int `yaml:"weight" max:"1000"`
	// Zone is where it stands; see zone at the top. Default not known, which is no gateway's.
	Zone string `yaml:"zone"`
	// Labels are names with values of your choice, by which a subset is chosen (size: big): 16 at most, each of letters, digits, _ . - and /, 63
	// at most. Replicas of `run` have none. Default none.
	Labels map[string]string `yaml:"labels"`

	at place
}

// Method is the policies of one method.
type Method struct {
	// Idempotent says that calling twice does no harm, so that a call whose fate is unknown may be tried again. Default false, or what
	// the annotation (idempotent = "true") of the method says.
	Idempotent bool `yaml:"idempotent"`
	// Upstream is a name out of `upstreams`: this method is served elsewhere, its callers unchanged. Default the service's.
	Upstream string `yaml:"upstream"`
	// MaxInFlight bounds the calls of this method that are worked at, or wait for a slot, at one time. Others wait for their turn, as long and
	// as many as the queue's max_wait and max_calls say; a call that has timed out counts no longer, though its server may be still at work.
	// Default any number; 1 to 1,000,000.
	MaxInFlight int `yaml:"max_in_flight" min:"1" max:"1000000"`
	// Async keeps calls and answers them later.
	Async    string   `yaml:"async" built:"no"`
	Policies Policies `yaml:",inline"`
}

// Durable is where durable calls are kept.
type Durable struct {
	// URL is a NATS server. Default one that is embedded, in `state`.
	URL string `yaml:"url"`
}

// Metrics has no keys yet.
type Metrics struct{}

// Logs says what is logged.
type Logs struct {
	observe.Config `yaml:",inline"`
	// Level is the least that is logged. Default info.
	Level string `yaml:"level" oneof:"debug,info,warn,error"`
}

// Drain says how the gateway ends.
type Drain struct {
	// Delay is how long new connections are still taken after readiness has gone. Default 0s; 0 to 10m.
	Delay time.Duration `yaml:"delay" max:"10m"`
	// Timeout bounds the whole end, delay included. Default 10s; 0 to 1h.
	Timeout time.Duration `yaml:"timeout" max:"1h"`
}
