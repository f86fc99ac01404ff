package thriftloom

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/cluster"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/plain"
	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/service"
	"github.com/thriftloom/thriftloom/wire"
)

func (c ClientConfig) withDefaults() ClientConfig {
	most := 16
	if c.Auto {
		most = 64
	}
	c.Connections = cmp.Or(c.Connections, most)
	c.IdleExpiry = cmp.Or(c.IdleExpiry, 2500*time.Millisecond)
	c.Timeout = cmp.Or(c.Timeout, deadline.Default().Timeout)
	c.Balance = plain.Over(balance.Default(), c.Balance)
	c.Queue = plain.Over(cluster.QueueConfig{MaxCalls: 65536, MaxWait: c.Timeout}, c.Queue)
	c.Policy = plain.Over(service.Policy{
		Timeout: c.Timeout, Retry: plain.Over(retry.Default(), retry.Config{Attempts: c.Attempts}), Budget: new(budget.Budget),
		Wire: translate.Policy{Protocol: c.wire().Protocol, Limits: wire.Limits{MessageBytes: c.MaxMessageBytes}},
	}, c.Policy)
	return c
}

// policies gives each method what holds for all, and over it what is said of the method. Calls go to the handler that a policy names, or
// to to. c has its defaults.
func (c ClientConfig) policies(svc *Service, to rpc.Handler) rpc.PerMethod[service.Policy] {
	policy := func(m *schema.Method, own service.Policy) service.Policy {
		p := c.Policy
		p.Upstream, p.Affinity = to, c.key(m)
		p.Idempotent = m != nil && m.Annotations["idempotent"] == "true"
		return plain.Over(plain.Over(p, c.Policy), own)
	}
	all := rpc.PerMethod[service.Policy]{Other: policy(nil, service.Policy{})}
	hedged := hedge.NewState()
	for _, m := range svc.Methods {
		p := policy(m, c.Methods[m.Name])
		if _, ok := c.Cache[m.Name]; ok {
			p.Cache, _ = c.cache(svc, m, p.Timeout) // it was checked
		}
		if p.Hedge.Percent > 0 && p.Hedge.Method == nil {
			p.Hedge.Method = hedged.Method(m.Name)
		}
		all.Methods = append(all.Methods, p)
	}
	return all
}

// cache compiles what is said of the replies of one method.
func (c ClientConfig) cache(svc *Service, m *schema.Method, timeout time.Duration) (cache.Policy, []cache.Mistake) {
	at := cache.Place{Service: cmp.Or(c.Service.Name, svc.Name), Methods: map[string]cache.Config{}, Timeout: timeout}
	for name, config := range c.Cache {
		at.Methods[name] = plain.Over(cache.Default(), config)
	}
	return at.Methods[m.Name].Compile(m, at)
}

// checkCache finds what no method can do with its replies, and methods that there are not.
func (c ClientConfig) checkCache(svc *Service, mistake func(string, ...any)) {
	if len(c.Cache) > 0 && c.Service.Cache == nil {
		mistake("Service.Cache: is missing: Cache says what is kept, and there is nowhere to keep it")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Cache)) {
		at, m := fmt.Sprintf("Cache[%q]", name), svc.Method(name)
		for _, line := range plain.Mistakes(at, c.Cache[name]) {
			mistake("%s", line)
		}
		if m == nil {
			mistake("%s: %s has no such method%s", at, svc.Name, meant(svc, name))
			continue
		}
		_, wrong := c.cache(svc, m, 0)
		for _, w := range wrong {
			mistake("%s: %s: %s", at, w.Key, w.Text)
		}
	}
}

// key is where the key of a method's calls stands, as Balance says it.
func (c ClientConfig) key(m *schema.Method) affinity.Policy {
	if c.Balance.Header != "" {
		return affinity.ByHeader(c.Balance.Header)
	}
	p, _ := affinity.ByArgument(m, c.Balance.Argument)
	return p
}

// check returns every mistake of the config as it was written, each with the field that has it.
func (c ClientConfig) check(svc *Service) error {
	var all []error
	mistake := func(text string, args ...any) { all = append(all, fmt.Errorf("thriftloom: "+text, args...)) }
	if len(c.Addresses)+len(c.Endpoints) == 0 && c.Resolver == nil {
		mistake("no address is given for %s: one of Addresses, Endpoints and Resolver", svc.Name)
	}
	for _, e := range c.endpoints() {
		if _, err := client.ParsePlace(e.Address); err != nil && c.dialer == nil {
			mistake("%w", err)
		}
		if e.Slots < 0 || e.Weight < 0 {
			mistake("Endpoints: %s: slots and weight are 0 at least", e.Address)
		}
		if err := e.Labels.Check(); err != nil {
			mistake("Endpoints: %s: %w", e.Address, err)
		}
	}
	for _, line := range append(plain.Mistakes("Balance", c.Balance), plain.Mistakes("Queue", c.Queue)...) {
		mistake("%s", line)
	}
	switch k := c.Checks; {
	case k.Interval < 0 || k.Timeout < 0:
		mistake("Checks: Interval and Timeout are 0 at least")
	case k.Interval == 0 && k != (cluster.Checks{}):
		mistake("Checks.Interval: is missing: without it no server is asked")
	case k.Method != "" && svc.Method(k.Method) == nil:
		mistake("Checks.Method: %s has no method %s%s", svc.Name, k.Method, meant(svc, k.Method))
	}
	if c.Attempts < 0 || c.Attempts > 10 {
		mistake("Attempts: %d is not 1 to 10", c.Attempts)
	}
	c.checkKey(svc, mistake)
	checkPolicy("Policy", c.Policy, mistake)
	for _, name := range slices.Sorted(maps.Keys(c.Methods)) {
		at := fmt.Sprintf("Methods[%q]", name)
		checkPolicy(at, c.Methods[name], mistake)
		if svc.Method(name) == nil {
			mistake("%s: %s has no such method%s", at, svc.Name, meant(svc, name))
		}
	}
	c.checkCache(svc, mistake)
	if c.Service.Schema != nil || len(c.Service.Policies.Methods) > 0 {
		mistake("Service: Schema and Policies are made of the service, of Policy and of Methods")
	}
	return errors.Join(all...)
}

// meant suggests a method of the service for a name that none has.
func meant(svc *Service, name string) string {
	names := make([]string, len(svc.Methods))
	for i, m := range svc.Methods {
		names[i] = m.Name
	}
	if near := idl.Nearest(name, slices.Values(names)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// checkPolicy finds what one policy may not be.
func checkPolicy(at string, p service.Policy, mistake func(string, ...any)) {
	for _, line := range plain.Mistakes(at, p) {
		mistake("%s", line)
	}
	if p.Timeout < 0 {
		mistake("%s.Timeout: %v is less than 0", at, p.Timeout)
	}
}

// checkKey finds keys that no method has, or that no policy asks for.
func (c ClientConfig) checkKey(svc *Service, mistake func(string, ...any)) {
	b := c.Balance
	named := 0
	for _, set := range []bool{b.Header != "", b.Argument != "", c.keyed()} {
		if set {
			named++
		}
	}
	switch {
	case !b.Hashes() && (b.Header != "" || b.Argument != ""):
		mistake("Balance: %s asks for no key: Header and Argument are of ring_hash and maglev", cmp.Or(b.Policy, balance.Default().Policy))
	case b.Hashes() && (named == 0 || b.Header != "" && b.Argument != ""):
		mistake("Balance: %s wants the key of a call: one of Header and Argument", b.Policy)
	case b.Argument != "" && !slices.ContainsFunc(svc.Methods, func(m *schema.Method) bool {
		_, ok := affinity.ByArgument(m, b.Argument)
		return ok
	}):
		mistake("Balance.Argument: no method of %s has an argument %s", svc.Name, b.Argument)
	}
}

// keyed reports whether a policy itself says where a key stands.
func (c ClientConfig) keyed() bool {
	given := func(p service.Policy) bool { return !reflect.ValueOf(p.Affinity).IsZero() }
	return given(c.Policy) || slices.ContainsFunc(slices.Collect(maps.Values(c.Methods)), given)
}

// checks are those of Checks, with the method as the servers know it.
func (c ClientConfig) checks() cluster.Checks {
	k := c.Checks
	switch {
	case c.Multiplexed == "":
	case k.Method == "":
		k.Method = client.MultiplexedProbe
	default:
		k.Method = c.Multiplexed + ":" + k.Method
	}
	return k
}

// endpoints returns the servers that the config names.
func (c ClientConfig) endpoints() (all []Endpoint) {
	for _, a := range c.Addresses {
		all = append(all, Endpoint{Address: strings.TrimSpace(a)})
	}
	return append(all, c.Endpoints...)
}
