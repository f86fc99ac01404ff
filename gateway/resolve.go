package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/faults"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/layer/subset"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/scale/process"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Resolved is what a file comes to: every default filled in, every name looked up, every path absolute.
type Resolved struct {
	Path      string   // of the file
	State     string   // folder
	Files     []string // all that were read or are to be there: the file, those that it includes, IDLs, overlays, secrets
	Secrets   []string // those of Files that Hash leaves out: certificates, keys, tokens
	Patterns  []string // what more may be read once it is there: included files, what IDLs include, overlays
	warnings  []strictyaml.Mistake
	listeners []listenerPlan
	upstreams []upstreamPlan
	services  []servicePlan
	adminTLS  *tlsPlan // nil: none
	sharing   *sharing // nil where no slots are lent
	stores    storesPlan
}

// tlsDialTimeout bounds a connection to a server with its handshake. ThriftPy makes one handshake at a time: of as many connections as there
// are slots, opened together, the last waits for all others.
const tlsDialTimeout = 3 * time.Second

// sharedPrefix begins the key of a shared upstream.
const sharedPrefix = "upstreams."

// servicePlan is one service, resolved.
type servicePlan struct {
	label        string
	file         string // in which its section stands, absolute
	schema       *schema.Service
	idl          string
	upstream     string // key of its upstream
	forward      bool
	closeOnCrash bool
	required     bool
	listen       []listenerPlan // its own addresses
	methods      []methodPlan   // by index
	other        methodPlan     // for methods that the IDL does not have
}

// uses returns the keys of the upstreams that its calls go to.
func (p *servicePlan) uses() []string {
	var keys []string
	for _, m := range p.all() {
		for _, key := range m.uses() {
			keys = with(keys, key)
		}
	}
	return keys
}

// all returns its methods, and what stands for those that the IDL does not have first.
func (p *servicePlan) all() []methodPlan { return append([]methodPlan{p.other}, p.methods...) }

// methodPlan is the policies of one method, resolved.
type methodPlan struct {
	policies    Policies
	idempotent  bool
	upstream    string // key
	affinity    affinity.Policy
	mirror      *mirrorPlan    // nil: none
	canary      *canaryPlan    // nil: none
	faults      *faults.Policy // nil: none
	maxInFlight int
	limit       limit.Policy
	cache       cache.Policy
	subset      subset.Policy
}

// resolve turns the decoded file into plans, and finds the mistakes that only show there.
func (l *loader) resolve(env func(string) (string, bool)) {
	r := &l.cfg.Resolved
	r.Path = l.path
	r.State = l.stateFolder(env)
	if l.cfg.Zone == "" {
		l.cfg.Zone, _ = env("THRIFTLOOM_ZONE")
	}
	l.gateways()
	for _, b := range l.cfg.Upstreams {
		l.in(b.File).sharedUpstream(b)
	}
	l.sharedListeners() // before those of services: where two want one address, the mistake is the service's alone
	for _, b := range l.cfg.Services {
		l.in(b.File).service(b)
	}
	l.checkNames()
	l.checkBudget()
	if len(l.cfg.Services) == 0 && !l.damaged() {
		l.Addf(l.at("services"), "services", "no service is named")
	}
	l.checkListeners()
	l.stores()
	l.caches()
	l.drainTimes()
	l.checkSharing()
	r.Files, r.Secrets, r.Patterns = l.files, l.secrets, l.patterns
}

func (l *loader) stateFolder(env func(string) (string, bool)) string {
	if l.cfg.State != "" {
		return l.abs(l.cfg.State)
	}
	if dir, ok := env("STATE_DIRECTORY"); ok && dir != "" {
		first, _, _ := strings.Cut(dir, ":")
		return first
	}
	return filepath.Join(l.dir, ".thriftloom")
}

func (l *loader) sharedUpstream(b strictyaml.Block) {
	u, key := SharedUpstream{Upstream: newUpstream(), Health: newHealth()}, sharedPrefix+b.Name
	l.Decode(b.Value, key, &u)
	health := strictyaml.Find(b.Value, "health")
	l.upstream(key, b.Name, key, b.Value, &u.Upstream, l.cfg.Defaults.Cluster.Queue, l.cfg.Defaults.Balance, u.Health.checks(health != nil, u.Health.Method))
	if u.Multiplexed && u.Health.Method != "" && !strings.Contains(u.Health.Method, ":") {
		l.Addf(strictyaml.At(health, "method"), key+".health.method", "multiplexed servers know it as SERVICE:%s", u.Health.Method)
	}
}

// service resolves one entry of services.
func (l *loader) service(b strictyaml.Block) {
	key := "services." + b.Name
	if !validLabel(b.Name) {
		l.Addf(b.Key, key, "a label has letters, digits, _ . and - only, 64 at most")
	}
	s := l.newService(b.Name)
	l.Decode(b.Value, key, &s)
	svc := l.serviceSchema(b, key, &s)
	places, methods := l.layers(b, key, &s, svc), s.Methods
	if !places.own() {
		s, methods = l.settle(b, key, places)
	}
	p := servicePlan{
		label: b.Name, file: l.file, idl: l.abs(s.IDL.Path), schema: svc,
		forward: s.UnknownMethods == "forward", closeOnCrash: s.OnCrash == "close", required: s.Required,
		upstream: l.serviceUpstream(b, key, &s, places),
	}
	p.other = methodPlan{policies: s.Policies, upstream: p.upstream}
	for i, ln := range s.Listen {
		own := l.listener(ln, listenKey(key+".listen", i, b.Value, "listen"), []string{b.Name})
		own.own = true
		p.listen = append(p.listen, own)
	}
	l.methods(key, &s, &p, methods)
	l.affinity(key, &s, &p, places)
	l.rollout(&s, &p)
	l.checkHedge(key, &s, &p, places, methods)
	l.limits(key, &s, &p)
	l.checkHealth(key, &s, svc, places)
	l.warnTimeout(b, key, &s, places)
	if p.schema != nil {
		l.cfg.Resolved.services = append(l.cfg.Resolved.services, p)
	}
}

// newService returns a service of which the config says no more than its label.
func (l *loader) newService(label string) Service {
	return Service{
		Service: label, UnknownMethods: "forward", OnCrash: "exception", Balance: l.cfg.Defaults.Balance, Upstream: UpstreamRef{Upstream: newUpstream()}, Health: newHealth(),
		Cluster: l.cfg.Defaults.Cluster, Policies: l.cfg.Defaults.Policies,
	}
}

// warnTimeout tells of a service whose callers may wait for as long as the default is.
func (l *loader) warnTimeout(b strictyaml.Block, key string, s *Service, places layers) {
	if set, _ := places.find("timeout"); set == nil && strictyaml.Find(l.main.doc.Root, "defaults", "timeout") == nil && !l.broken(b) {
		l.warnf(b.Key, key+".timeout", "no timeout is set: calls may take %v", s.Policies.Deadline.Timeout)
	}
}

// listenKey names an entry of a list, or the value itself where it is no list.
func listenKey(key string, i int, node *yaml.Node, name string) string {
	if at := strictyaml.Find(node, name); at != nil && at.Kind == yaml.SequenceNode {
		return fmt.Sprintf("%s[%d]", key, i)
	}
	return key
}

// serviceUpstream resolves where the service's calls go, and returns the upstream's key.
func (l *loader) serviceUpstream(b strictyaml.Block, key string, s *Service, places layers) string {
	node := strictyaml.Find(b.Value, "upstream")
	switch {
	case node == nil:
		if !l.broken(b) {
			l.Addf(b.Key, key+".upstream", "is missing: where do the calls go?")
		}
		return ""
	case node.Kind == yaml.ScalarNode:
		l.checkShared(key, s.Upstream.Name, places)
		return l.named(node, key+".upstream", s.Upstream.Name)
	}
	health, _ := places.find("health")
	l.upstream(key, b.Name, key+".upstream", node, &s.Upstream.Upstream, s.Cluster.Queue, s.Balance, s.Health.checks(health != nil, s.probe()))
	return key
}

// probe is the method of the service's health check as its servers know it, "" for none of its own.
func (s *Service) probe() string {
	if s.Health.Method != "" && s.Upstream.Multiplexed {
		return s.Service + ":" + s.Health.Method
	}
	return s.Health.Method
}

// named returns the key of a shared upstream.
func (l *loader) named(node *yaml.Node, key, name string) string {
	if !slices.Contains(l.cfg.Upstreams.Names(), name) && !l.told(key) && !l.damaged() {
		l.Addf(node, key, "no upstream is named %q%s", name, strictyaml.DidYouMean(name, l.cfg.Upstreams.Names()))
	}
	return sharedPrefix + name
}

// serviceSchema loads the service's IDL and finds the service in it; nil where that fails.
func (l *loader) serviceSchema(b strictyaml.Block, key string, s *Service) *schema.Service {
	node := strictyaml.At(b.Value, "idl")
	if s.IDL.Path == "" {
		if !l.broken(b) && !l.told(key+".idl") {
			l.Addf(b.Key, key+".idl", "is missing: the path of the .thrift file")
		}
		return nil
	}
	doc := l.loadIDL(s.IDL, node, key+".idl")
	if doc == nil {
		return nil
	}
	if svc := doc.Service(s.Service); svc != nil {
		return svc
	}
	var names []string
	for _, svc := range doc.AllServices() {
		names = append(names, svc.Name)
	}
	at, where := b.Key, key
	if n := strictyaml.Find(b.Value, "service"); n != nil {
		at, where = n, key+".service"
	}
	l.Addf(at, where, "%s has no service %q%s", filepath.Base(s.IDL.Path), s.Service, strictyaml.DidYouMean(s.Service, names))
	return nil
}

// methods resolves the policies of each method: what holds for the service, and over it the blocks, the weakest first.
func (l *loader) methods(key string, s *Service, p *servicePlan, blocks []strictyaml.Block) {
	if p.schema == nil {
		for _, mb := range blocks { // for their mistakes
			l.method(key, mb, Method{Policies: s.Policies}, methodPlan{})
		}
		return
	}
	var names []string
	index := map[string]int{}
	for i, m := range p.schema.Methods {
		names = append(names, m.Name)
		index[m.Name] = i
		p.methods = append(p.methods, methodPlan{
			policies: s.Policies, upstream: p.upstream, idempotent: m.Annotations["idempotent"] == "true",
		})
	}
	for _, mb := range blocks {
		i, known := index[mb.Name]
		if known {
			p.methods[i] = l.method(key, mb, Method{Policies: p.methods[i].policies, Idempotent: p.methods[i].idempotent, MaxInFlight: p.methods[i].maxInFlight}, p.methods[i])
			continue
		}
		l.method(key, mb, Method{Policies: s.Policies}, methodPlan{})
		if mb.File == l.path || !anyMethod(p.schema.Document, mb.Name) { // an overlay is of all services of its IDL
			l.noting(mb.File).Addf(mb.Key, key+".methods."+mb.Name, "%s has no method %q%s", s.Service, mb.Name, strictyaml.DidYouMean(mb.Name, names))
		}
	}
}

// method lays one block over what holds for a method so far.
func (l *loader) method(key string, mb strictyaml.Block, m Method, was methodPlan) methodPlan {
	key += ".methods." + mb.Name
	at := l.noting(mb.File)
	at.Decode(mb.Value, key, &m)
	to := was.upstream
	if m.Upstream != "" {
		to = at.named(strictyaml.Find(mb.Value, "upstream"), key+".upstream", m.Upstream)
	}
	return methodPlan{policies: m.Policies, idempotent: m.Idempotent, upstream: to, maxInFlight: m.MaxInFlight}
}

func anyMethod(d *schema.Document, name string) bool {
	return slices.ContainsFunc(d.AllServices(), func(s *schema.Service) bool { return s.Method(name) != nil })
}

// upstream resolves one upstream block.
func (l *loader) upstream(key, name, path string, node *yaml.Node, u *Upstream, queue cluster.QueueConfig, policy Balance, checks cluster.Checks) {
	var sources []string
	for _, s := range []string{"run", "endpoints", "dns", "file", "docker", "kubernetes", "consul", "etcd"} {
		if strictyaml.Find(node, s) != nil {
			sources = append(sources, s)
		}
	}
	switch {
	case node.Kind != yaml.MappingNode || l.doc.Damaged(node.Line, lastLine(node)) && len(sources) == 0:
		return
	case len(sources) == 0:
		l.Addf(node, path, "no source of endpoints: one of run, endpoints, dns, file, docker, kubernetes, consul, etcd has to stand here")
	case len(sources) > 1:
		l.Addf(node, path, "%s are both sources of endpoints; one is wanted", strings.Join(sources, " and "))
	}
	kind := kindOf(u.Server)
	slots := u.Slots.N
	if slots == 0 {
		slots = kind.Slots
	}
	l.checkSlots(node, path, u)
	p := upstreamPlan{key: key, name: name, state: l.cfg.Resolved.State}
	p.cluster = cluster.Options{
		Name: name, Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary},
		Limits: wire.Limits{MessageBytes: int(l.cfg.MaxMessageBytes)},
		Slots:  slots, Auto: u.Slots.Auto, IdleExpiry: kind.IdleExpiry, MaxAge: kind.MaxAge, Queue: queue, Balance: policy.Config, Shared: kind.Shared,
		Zone: l.cfg.Zone, Checks: checks,
	}
	if u.Transport == "framed" || u.Transport == "" && kind.Framed {
		p.cluster.Wire.Kind = transport.Framed
	}
	if u.Transport == "header" {
		p.cluster.Wire.Kind = transport.Header
	}
	for _, known := range []wire.Protocol{wire.Compact, wire.JSON, wire.ApacheJSON} {
		if u.Protocol == known.String() {
			p.cluster.Wire.Protocol = known
		}
	}
	if u.Transport == "http" || u.Transport == "" && kind.HTTP {
		p.cluster.Wire.Kind = transport.HTTP
	}
	if p.cluster.Tracking = u.Tracking; u.Tracking != "" && !l.told(path+".tracking") {
		l.checkTracking(strictyaml.At(node, "tracking"), path+".tracking", u, p.cluster.Wire)
	}
	l.warnWire(node, path, u, p.cluster.Wire)
	if u.Multiplexed {
		p.multiplexed = true
		p.cluster.Checks.Method = cmp.Or(checks.Method, client.MultiplexedProbe)
	}
	if slices.Contains(sources, "run") {
		p.run = l.run(strictyaml.Find(node, "run"), path+".run", &u.Run)
	}
	if slices.Contains(sources, "endpoints") {
		p.endpoints = l.endpoints(strictyaml.Find(node, "endpoints"), path+".endpoints", u.Endpoints)
	}
	p.source = l.lookup(node, path, u, &p)
	if p.tls = l.clientTLS(&u.TLS); p.tls != nil {
		p.cluster.DialTimeout = tlsDialTimeout
		if p.source != nil && p.tls.serverName == "" {
			p.tls.serverName = p.source.serverName()
		}
	}
	p.login = l.clientSASL(&u.SASL, &p)
	l.places(node, path, &p)
	l.share(node, path, u, &p)
	l.cfg.Resolved.upstreams = append(l.cfg.Resolved.upstreams, p)
}

// places checks that endpoints which are URLs fit their upstream.
func (l *loader) places(node *yaml.Node, path string, p *upstreamPlan) {
	for i, e := range p.endpoints {
		place, err := client.ParsePlace(e.Address)
		key := fmt.Sprintf("%s.endpoints[%d]", path, i)
		switch {
		case err != nil || !place.HTTP:
		case p.cluster.Wire.Kind != transport.HTTP:
			l.Addf(strictyaml.At(node, "endpoints"), key, "%s is an address of http: transport: http is missing", e.Address)
		case place.TLS && p.tls == nil:
			l.Addf(strictyaml.At(node, "endpoints"), key, "%s wants TLS: tls: {} is missing", e.Address)
		}
	}
}

func (l *loader) run(node *yaml.Node, path string, r *Run) *process.Config {
	c := &process.Config{
		Command: r.Command, Replicas: r.Replicas.N, Dir: l.abs(r.Dir), Env: r.Env, User: r.User,
		StopTimeout: r.StopTimeout, StartTimeout: r.StartTimeout, Adopt: r.Adopt,
	}
	if c.Dir == "" {
		c.Dir = l.dir
	}
	if r.StopTimeout == 0 {
		c.StopTimeout = -1 // a written 0: at once
	}
	for _, m := range c.Mistakes() {
		if !l.told(path + "." + m.Key) {
			l.Addf(strictyaml.At(node, m.Key), path+"."+m.Key, "%s", m.Text)
		}
	}
	if r.Dir != "" {
		l.checkFolder(strictyaml.At(node, "dir"), path+".dir", c.Dir)
	}
	return c
}

func (l *loader) endpoints(node *yaml.Node, path string, list []Endpoint) []rpc.Endpoint {
	if len(list) == 0 && node.Kind != 0 && !l.told(path) {
		l.Addf(node, path, "is empty: name one address at least")
	}
	var out []rpc.Endpoint
	seen := map[string]bool{}
	for i, e := range list {
		at, key := node, fmt.Sprintf("%s[%d]", path, i)
		if e.at.node != nil {
			at = e.at.node
		}
		address := l.unixPath(e.Address)
		if l.told(key) {
			continue
		}
		place, err := client.ParsePlace(address)
		if err != nil {
			l.Addf(at, key, "%v", err)
		} else if host, port, _ := net.SplitHostPort(place.Socket); (host == "" || port == "0") && !strings.HasPrefix(address, "unix:") {
			l.Addf(at, key, "address %q: a host and a port above 0 are wanted", address)
		} else if seen[address] {
			l.Addf(at, key, "%s stands here twice", e.Address)
		}
		if err := rpc.CheckLabels(e.Labels); err != nil {
			l.Addf(strictyaml.At(at, "labels"), key+".labels", "%v", err)
		}
		seen[address] = true
		out = append(out, rpc.Endpoint{
			Address: address, Name: e.Address, Slots: e.Slots.N, Auto: e.Slots.Auto, Weight: e.Weight, Drained: e.Weight == 0, Zone: e.Zone,
			Labels: rpc.NewLabels(e.Labels),
		})
	}
	return out
}

// unixPath makes the path of a unix socket absolute.
func (l *loader) unixPath(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		return "unix:" + l.abs(path)
	}
	return address
}

// listener resolves one listener and sees to it that no other key opens its address.
func (l *loader) listener(ln Listener, key string, services []string) listenerPlan {
	node := ln.at.node
	address := l.unixPath(ln.Address)
	if node == nil || l.told(key) { // nil: its lines could not be read, which is told
		return listenerPlan{key: key, address: address, services: services}
	}
	if address == "" {
		l.Addf(node, key, "an address is missing")
	} else if _, _, err := netio.ParseAddress(address); err != nil {
		l.Addf(node, key, "%v", err)
	}
	if ln.ReusePort && (strings.HasPrefix(address, "unix:") || strings.HasSuffix(address, ":0")) {
		l.Addf(node, key+".reuse_port", "%s cannot be shared: only an address with a port of its own can", ln.Address)
	}
	l.opens(node, key, address)
	secure := l.serverTLS(&ln.TLS)
	return listenerPlan{
		key: key, address: address, reusePort: ln.ReusePort, services: services, fallback: ln.Default,
		maxConnections: ln.MaxConnections, maxPerCaller: ln.MaxPerCaller, stallTimeout: ln.StallTimeout, tls: secure,
		users: l.serverSASL(&ln.SASL, secure != nil || strings.HasPrefix(address, "unix:")),
		where: strictyaml.Mistake{File: l.File, Line: node.Line, Col: node.Column, Key: key},
	}
}

func (l *loader) opens(node *yaml.Node, key, address string) {
	for _, other := range slices.Sorted(maps.Keys(l.serves)) {
		if overlap(address, other) {
			l.Addf(node, key, "%s is opened by %s as well", address, l.serves[other])
			break
		}
	}
	l.serves[address] = key
}

// sharedListeners resolves the listeners that stand in no service, and checks the HTTP ones.
func (l *loader) sharedListeners() {
	labels := l.cfg.Services.Names()
	for i, ln := range l.cfg.Listen {
		key := listenKey("listen", i, l.doc.Root, "listen")
		for _, s := range append(slices.Clone(ln.Services), ln.Default) {
			if s != "" && !slices.Contains(labels, s) && !l.damaged() {
				l.Addf(ln.at.node, key, "no service is named %q%s", s, strictyaml.DidYouMean(s, labels))
			}
		}
		plan := l.listener(ln, key, ln.Services)
		if len(ln.Services) == 0 {
			plan.services, plan.all = labels, true
		}
		l.cfg.Resolved.listeners = append(l.cfg.Resolved.listeners, plan)
	}
	if h := l.cfg.Health; h != "" {
		l.checkHTTP(l.at("health"), "health", h)
	}
	l.checkAdmin()
}

// checkListeners adds the services' own listeners, and finds what only shows with all of them.
func (l *loader) checkListeners() {
	r := &l.cfg.Resolved
	for i, ln := range l.cfg.Listen {
		if ln.Default == "" && ln.at.node != nil {
			l.warnAmbiguous(ln.at.node, r.listeners[i].key, r.listeners[i].services)
		}
	}
	for _, s := range r.services {
		r.listeners = append(r.listeners, s.listen...)
	}
	l.warnAllow()
	if len(r.listeners) == 0 && len(l.cfg.Services) > 0 && !l.damaged() {
		l.Addf(l.doc.Root, "listen", "is missing: no service has an address")
	}
}

func (l *loader) checkHTTP(node *yaml.Node, key, address string) {
	if _, _, err := netio.ParseAddress(address); err != nil {
		l.Addf(node, key, "%v", err)
	}
	l.opens(node, key, address)
}

// drainTimes gives each upstream the longest time that a call may take.
func (l *loader) drainTimes() {
	r := &l.cfg.Resolved
	for i := range r.upstreams {
		u := &r.upstreams[i]
		u.drainTime = time.Second
		for _, s := range r.services {
			for _, m := range s.all() {
				if slices.Contains(m.uses(), u.key) {
					u.drainTime = max(u.drainTime, m.policies.Deadline.Timeout, m.policies.Mirror.Timeout)
				}
			}
		}
	}
}

// Loopback reports whether an address is reached from this machine only.
func Loopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func validLabel(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func lastLine(node *yaml.Node) int {
	last := node.Line
	for _, c := range node.Content {
		last = max(last, lastLine(c))
	}
	return last
}
