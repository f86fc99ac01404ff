// Package consul finds the instances of a service in Consul's catalog, by blocking queries. The meta data of an instance may have slots, weight,
// zone and labels (size=big,version=v2).
package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/rpc"
)

// What Health may be.
const (
	Passing = "passing" // all checks of an instance pass
	Warning = "warning" // none is worse than a warning
	Any     = "any"
)

const (
	defaultWait = 30 * time.Second
	slack       = 5 * time.Second        // an agent may answer so much later, besides the sixteenth of the wait that it adds
	shortest    = 200 * time.Millisecond // between two queries: a catalog in motion is not asked without a pause
	dialTimeout = 5 * time.Second
)

// Resolver asks one agent.
type Resolver struct{ config resolve.ConsulConfig }

// New returns a resolver.
func New(c resolve.ConsulConfig) resolve.Resolver {
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Health == "" {
		c.Health = Passing
	}
	return &Resolver{c}
}

func (r *Resolver) String() string {
	s := "consul " + r.config.Address + " " + r.config.Service
	if r.config.Datacenter != "" {
		s += "@" + r.config.Datacenter
	}
	return s
}

// Run implements resolve.Resolver.
func (r *Resolver) Run(ctx context.Context, tell resolve.Tell) {
	client, idle, err := r.client()
	if err != nil {
		tell(nil, err)
		<-ctx.Done()
		return
	}
	defer idle()
	var failed resolve.Backoff
	index := uint64(0)
	for {
		began := time.Now()
		entries, next, err := r.ask(ctx, client, index)
		if ctx.Err() != nil {
			return
		}
		pause := shortest - time.Since(began)
		if err != nil {
			tell(nil, err)
			pause, index = failed.Next(), 0
		} else {
			failed.Reset()
			tell(endpoints(entries))
			index = follow(index, next)
		}
		if !resolve.Wait(ctx, pause) {
			return
		}
	}
}

// follow returns the index to wait on. One that went back belongs to another state of the servers, such as a restored snapshot: all is asked
// for anew, without a wait. (Consul, "Blocking Queries".)
func follow(was, now uint64) uint64 {
	if now < was {
		return 0
	}
	return max(now, 1) // 0 would not wait
}

func (r *Resolver) client() (c *api.Client, idle func(), err error) {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: slack}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: r.config.Wait + r.config.Wait/16 + slack,
		MaxIdleConns:          2,
	}
	config := &api.Config{Address: r.config.Address, Scheme: "http"}
	if path, ok := strings.CutPrefix(config.Address, "unix://"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			return d.DialContext(ctx, "unix", path)
		}
		config.Address = "localhost"
	}
	if r.config.TLS != nil {
		config.Scheme = "https"
		transport.DialTLSContext = r.dialTLS(transport.DialContext)
	}
	config.HttpClient = &http.Client{Transport: transport}
	c, err = api.NewClient(config)
	return c, transport.CloseIdleConnections, err
}

// ask asks for the instances: at once for index 0, else when something has changed since, or the wait is over.
func (r *Resolver) ask(ctx context.Context, client *api.Client, index uint64) ([]*api.ServiceEntry, uint64, error) {
	q := &api.QueryOptions{Datacenter: r.config.Datacenter, WaitIndex: index, WaitTime: r.config.Wait}
	if index == 0 {
		q.WaitTime = 0
	}
	if r.config.Token != nil {
		token, err := r.config.Token()
		if err != nil {
			return nil, 0, err
		}
		q.Token = token
	}
	all, meta, err := client.Health().ServiceMultipleTags(r.config.Service, r.config.Tags, r.config.Health == Passing, q.WithContext(ctx))
	if err != nil {
		return nil, 0, plain(err)
	}
	if r.config.Health == Warning {
		all = slices.DeleteFunc(all, func(e *api.ServiceEntry) bool {
			status := e.Checks.AggregatedStatus()
			return status != api.HealthPassing && status != api.HealthWarning
		})
	}
	return all, meta.LastIndex, nil
}

// plain leaves out of an error what is told besides, and what is different each time.
func plain(err error) error {
	var status api.StatusError
	if errors.As(err, &status) {
		return fmt.Errorf("the agent answers %d: %.200s", status.Code, strings.TrimSpace(status.Body))
	}
	var op *net.OpError
	if errors.As(err, &op) && !op.Timeout() {
		return op.Err
	}
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// maxTold bounds how many broken instances an error tells.
const maxTold = 5

// endpoints reads the instances in the order of their ids. One that is broken takes no other along.
func endpoints(all []*api.ServiceEntry) (out []rpc.Endpoint, err error) {
	all = slices.DeleteFunc(all, func(e *api.ServiceEntry) bool { return e == nil || e.Service == nil })
	slices.SortStableFunc(all, func(a, b *api.ServiceEntry) int { return strings.Compare(a.Service.ID, b.Service.ID) })
	var broken []error
	for _, e := range all {
		endpoint, err := entry(e)
		switch {
		case err == nil:
			out = append(out, endpoint)
		case len(broken) < maxTold:
			broken = append(broken, fmt.Errorf("instance %q: %w", e.Service.ID, err))
		}
	}
	return out, errors.Join(broken...)
}

func entry(e *api.ServiceEntry) (rpc.Endpoint, error) {
	labels := rpc.Labels(e.Service.Meta["labels"])
	if err := labels.Check(); err != nil {
		return rpc.Endpoint{}, fmt.Errorf("meta %w", err)
	}
	out := resolve.Entry{Zone: e.Service.Meta["zone"], Labels: labels.Map()}
	host := e.Service.Address
	if host == "" && e.Node != nil {
		host = e.Node.Address
	}
	out.Address = net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
	if e.Service.SocketPath != "" {
		out.Address = "unix:" + e.Service.SocketPath
	}
	weight := e.Service.Weights.Passing
	if e.Checks.AggregatedStatus() == api.HealthWarning {
		weight = e.Service.Weights.Warning
	}
	weight = min(weight, 1000)
	if e.Service.Weights != (api.AgentWeights{}) { // an agent that does not say has none
		out.Weight = &weight
	}
	for key, to := range map[string]func(int){"slots": func(n int) { out.Slots = n }, "weight": func(n int) { out.Weight = &n }} {
		text, ok := e.Service.Meta[key]
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || key == "slots" && n < 1 {
			return rpc.Endpoint{}, fmt.Errorf("meta %s: %.64q is no such number", key, text)
		}
		to(n)
	}
	return out.Endpoint()
}
