package gateway

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/schema"
)

// told reports whether a mistake of key, or of something in it, is noted already: what follows from it is not told as well.
func (l *loader) told(key string) bool {
	return slices.ContainsFunc(l.Mistakes(), func(m strictyaml.Mistake) bool {
		rest, ok := strings.CutPrefix(m.Key, key)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// broken reports whether lines of the service could not be read: what seems to be missing may stand in them.
func (l *loader) broken(b strictyaml.Block) bool {
	next := 1 << 30
	for _, keys := range []*yaml.Node{l.doc.Root, strictyaml.Find(l.doc.Root, "services")} {
		for i := 0; keys != nil && i < len(keys.Content); i += 2 {
			if line := keys.Content[i].Line; line > b.Key.Line {
				next = min(next, line)
			}
		}
	}
	return l.doc.Damaged(b.Key.Line, next-1)
}

// checkSlots checks slots against the kind of server.
func (l *loader) checkSlots(node *yaml.Node, path string, u *Upstream) {
	kind := kindOf(u.Server)
	switch named := func(e Endpoint) bool { return e.Slots.N > 0 }; {
	case u.Server == "simple" && u.Slots.N > 1 && !u.Slots.Auto:
		l.Addf(strictyaml.At(node, "slots"), path+".slots", "a simple server works at one call at a time: slots can only be 1")
	case kind.Slots == 0 && u.Slots.N == 0 && !l.told(path+".slots") && (len(u.Endpoints) == 0 || !every(u.Endpoints, named)):
		l.Addf(strictyaml.At(node, "server"), path+".slots", "has to be given for server: %s: its number of workers", u.Server)
	}
	l.checkAuto(strictyaml.At(node, "slots"), path, u, u.Slots)
	for i, e := range u.Endpoints {
		if at := e.at.node; at != nil {
			l.checkAuto(strictyaml.At(at, "slots"), fmt.Sprintf("%s.endpoints[%d]", path, i), u, e.Slots)
		}
	}
}

// checkAuto finds slots that cannot be learned.
func (l *loader) checkAuto(node *yaml.Node, path string, u *Upstream, s Slots) {
	path += ".slots"
	shared := l.cfg.Gateways.N > 1 && u.Gateways == 0 || u.Gateways > 1 || l.cfg.Gateways.at.node != nil && l.cfg.Gateways.N == 0 && u.Gateways == 0
	switch {
	case !s.Auto || l.told(path):
	case u.Server == "":
		l.Addf(node, path, "auto needs to know how the endpoints serve: server is missing")
	case u.Server == "simple":
		l.Addf(node, path, "auto: a simple server works at one call at a time, there is nothing to learn")
	case u.Server == "gunicorn-sync":
		l.Addf(node, path, "auto: a connection beyond the workers of gunicorn-sync would wait for as long as the others are open: give their number")
	case shared && len(u.Run.Command) == 0:
		l.Addf(node, path, "auto: what one gateway learns is wrong for several that share the endpoints (gateways): give a number")
	}
}

func every[T any](list []T, is func(T) bool) bool {
	return !slices.ContainsFunc(list, func(x T) bool { return !is(x) })
}

// checkShared finds what a service says of an upstream that it shares: it would hold for the others as well.
func (l *loader) checkShared(key, name string, places layers) {
	for _, what := range []string{"queue", "balance", "health"} {
		if at, file := places.find(what); at != nil {
			l.noting(file).Addf(at, key+"."+what,
				"cannot be set here: the upstream %q is shared; its queue and its balancing are those of `defaults`, and its health check stands with it", name)
		}
	}
}

// checks is what a block comes to; without one, the first sign of life is all that is asked for. method is the block's as the servers know it.
func (h Health) checks(written bool, method string) cluster.Checks {
	k := cluster.Checks{Method: method, Interval: h.Interval, Timeout: h.Timeout}
	if !written {
		k.Interval = 0
	}
	return k
}

// affinity says where the key of each method's calls stands, and finds keys that stand nowhere, or that nobody asks for.
func (l *loader) affinity(key string, s *Service, p *servicePlan, places layers) {
	b := s.Balance
	key += ".balance"
	at, file := places.find("balance")
	own := at != nil
	if !own {
		key, at, file = "defaults.balance", strictyaml.Find(l.main.doc.Root, "defaults", "balance"), l.main.path
	}
	mistake := func(text string, args ...any) {
		if at != nil && !l.told(key) {
			l.noting(file).Addf(at, key, text, args...)
		}
	}
	switch {
	case !b.Hashes() && b.Header == "" && b.Argument == "":
		return
	case !b.Hashes():
		mistake("%s asks for no key: header and argument are of ring_hash and maglev", b.Policy)
	case (b.Header == "") == (b.Argument == ""):
		mistake("%s wants the key of a call: one of header and argument", b.Policy)
	case b.Header != "":
		p.other.affinity = affinity.ByHeader(b.Header)
		for i := range p.methods {
			p.methods[i].affinity = p.other.affinity
		}
	case p.schema != nil:
		found := false
		for i, m := range p.schema.Methods {
			var ok bool
			p.methods[i].affinity, ok = affinity.ByArgument(m, b.Argument)
			found = found || ok
		}
		if !found && own {
			mistake("no method of %s has an argument %s", s.Service, b.Argument)
		}
	}
}

// checkHealth finds a method of the health check that the service does not have.
func (l *loader) checkHealth(key string, s *Service, svc *schema.Service, places layers) {
	if s.Health.Method == "" || svc == nil || svc.Method(s.Health.Method) != nil {
		return
	}
	names := make([]string, len(svc.Methods))
	for i, m := range svc.Methods {
		names[i] = m.Name
	}
	at, file := places.find("health", "method")
	l.noting(file).Addf(at, key+".health.method", "%s has no method %q%s", s.Service, s.Health.Method, strictyaml.DidYouMean(s.Health.Method, names))
}

// checkFolder finds a folder that is not there.
func (l *loader) checkFolder(node *yaml.Node, key, path string) {
	switch info, err := os.Stat(path); {
	case err != nil:
		l.Addf(node, key, "no such folder")
	case !info.IsDir():
		l.Addf(node, key, "is not a folder")
	}
}

// checkNames finds an upstream that has the name of a service with an upstream of its own: metrics and sockets could not tell them apart.
func (l *loader) checkNames() {
	for _, b := range l.cfg.Upstreams {
		for _, s := range l.cfg.Services {
			if u := strictyaml.Find(s.Value, "upstream"); s.Name == b.Name && u != nil && u.Kind == yaml.MappingNode {
				l.in(b.File).Addf(b.Key, "upstreams."+b.Name, "the service %s has an upstream of its own, which has this name already", s.Name)
			}
		}
	}
}

// checkBudget finds a process that may not hold one message. A budget that is not written allows for long ones.
func (l *loader) checkBudget() {
	const key = "max_buffered_bytes"
	switch budget, message := l.cfg.MaxBufferedBytes, l.cfg.MaxMessageBytes; {
	case l.told(key) || l.told("max_message_bytes"):
	case strictyaml.Find(l.doc.Root, key) == nil:
		l.cfg.MaxBufferedBytes = max(budget, 4*message)
	case budget < message:
		l.Addf(l.at(key), key, "%s is less than one message may have (max_message_bytes: %s)", budget, message)
	case budget < 4*message:
		l.warnf(l.at(key), key, "less than four times max_message_bytes (%s): a call's request and reply are both held, and the longest may be refused", message)
	}
}

// checkAdmin checks the admin listener and its token.
func (l *loader) checkAdmin() {
	a := l.cfg.Admin
	if a.at.node == nil {
		return
	}
	token := strictyaml.Find(a.at.node, "token") != nil
	switch {
	case a.Address == "" && !l.told("admin"):
		l.Addf(a.at.node, "admin.address", "is missing")
		return
	case a.Address == "":
		return
	case token && a.TokenFile != "":
		l.Addf(a.at.node, "admin.token_file", "token and token_file are both given")
	case a.TokenFile != "":
		l.secretFile(strictyaml.At(a.at.node, "token_file"), "admin.token_file", a.TokenFile)
	case token && strings.TrimSpace(a.Token) == "" && !l.told("admin.token"):
		l.Addf(strictyaml.At(a.at.node, "token"), "admin.token", "is empty")
	case a.Token == "" && !Loopback(a.Address) && !l.told("admin"):
		l.Addf(a.at.node, "admin", "%s can be reached from other machines: it needs a token (token_file)", a.Address)
	}
	l.checkHTTP(a.at.node, "admin", a.Address)
	l.cfg.Resolved.adminTLS = l.serverTLS(&a.TLS)
}

// cause is what went wrong with a file, without its path.
func cause(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// overlap reports whether one socket would be in the way of the other: the same address, or the same port on every address.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return a == b
	}
	if portA != portB || portA == "0" {
		return false
	}
	same := func(h string) string { return strings.Replace(h, "localhost", "127.0.0.1", 1) }
	return same(hostA) == same(hostB) || all(hostA, hostB) || all(hostB, hostA)
}

// all reports whether a socket on host takes the port on other as well.
func all(host, other string) bool {
	return host == "" || host == "::" || host == "0.0.0.0" && !strings.Contains(other, ":")
}

// warnAmbiguous tells of method names that fit several services of one listener, in one line for the same services.
func (l *loader) warnAmbiguous(node *yaml.Node, key string, labels []string) {
	owners := map[string][]string{}
	for _, s := range l.cfg.Resolved.services {
		if slices.Contains(labels, s.label) {
			for _, m := range s.schema.Methods {
				owners[m.Name] = append(owners[m.Name], s.label)
			}
		}
	}
	shared := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		if fits := owners[name]; len(fits) > 1 {
			together := strings.Join(fits, " and ")
			shared[together] = append(shared[together], fmt.Sprintf("%q", name))
		}
	}
	for together, names := range shared {
		what := "the bare name " + names[0] + " fits"
		if len(names) > 1 {
			what = "the bare names " + strings.Join(names, ", ") + " fit"
		}
		l.warnf(node, key, "%s %s: refused unless default: names one", what, together)
	}
}
