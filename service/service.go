// Package service is one service: its policies merged, its layers in their order over its clusters, one Handler.
package service

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/layer/affinity"
	"github.com/thriftloom/thriftloom/layer/authz"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/canary"
	"github.com/thriftloom/thriftloom/layer/deadline"
	"github.com/thriftloom/thriftloom/layer/faults"
	"github.com/thriftloom/thriftloom/layer/hedge"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/layer/mirror"
	"github.com/thriftloom/thriftloom/layer/observe"
	"github.com/thriftloom/thriftloom/layer/priority"
	"github.com/thriftloom/thriftloom/layer/required"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/layer/subset"
	"github.com/thriftloom/thriftloom/layer/translate"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/rpc/budget"
	"github.com/thriftloom/thriftloom/schema"
)

// Policy is what holds for one method.
type Policy struct {
	Timeout    time.Duration
	Retry      retry.Config
	Budget     *budget.Budget // of the upstream; nil: tries are not bounded
	Idempotent bool
	Allow      []string    // who may call, as layer/authz has it; nil: anyone
	Upstream   rpc.Handler // the cluster that answers the method
	Wire       translate.Policy
	Required   required.Policy
	Affinity   affinity.Policy
	Subset     subset.Policy // of the upstream's endpoints, which the calls go to
	Faults     faults.Policy
	Mirror     mirror.Policy
	Canary     canary.Policy
	Hedge      hedge.Policy // of idempotent methods; its budget is Budget
	Breaker    breaker.Policy
	Priority   priority.Policy
	Limit      limit.Policy
	Cache      cache.Policy
}

// Config says what a service is made of. Nothing of it is changed after New.
type Config struct {
	Name     string                // by which the config, errors and metrics know it
	Schema   *schema.Service       // nil: any method is forwarded
	Policies rpc.PerMethod[Policy] // Other holds for methods that the IDL does not have
	Sinks    []observe.Sink
	// Missing, which may be nil, is told of calls that lack a required field, where Policy.Required asks for it.
	Missing func(call *rpc.Call, path string)
	// Random returns numbers from 0 to below 1, of which faults are drawn. Safe for concurrent use; nil: the process's own.
	Random  func() float64
	Breaker *breaker.Breaker // what Policy.Breaker goes by; nil where no method has one
	Limits  *limit.State     // what is known of the calls that limits bound; nil: none are bounded
	Cache   *cache.State     // the replies that are kept; nil: none are
}

// Service is one service as a Handler. Immutable; safe for concurrent use.
type Service struct {
	cfg     Config
	layers  rpc.Stack
	handler rpc.Handler
}

// New puts a service together.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg}
	s.layers = s.stack()
	s.handler = s.layers.Over(rpc.HandlerFunc(s.upstream))
	return s
}

// stack is the one place where the order of the layers stands, outermost first.
func (s *Service) stack() rpc.Stack {
	return rpc.Stack{
		observe.Layer(s.cfg.Sinks...),                                   // outermost: refused calls are counted too
		translate.Layer(s.protocols()),                                  // below it every call is in its upstream's one protocol
		authz.Layer(s.callers()),                                        // above all else: who may not call takes no time, no slot and no cached reply
		required.Layer(s.required(), s.cfg.Missing),                     // below authz: who may not call is not told what is missing
		deadline.Layer(s.timeouts()),                                    // above retry: one budget of time for all attempts
		cache.Layer(s.caches(), s.cfg.Cache),                            // below deadline: each caller waits as long as it may; above all that costs: a hit takes no slot
		priority.Layer(s.priorities()),                                  // above all that makes calls wait: who goes first is said by then
		limit.Layer(s.cfg.Name, s.cfg.Schema, s.limits(), s.cfg.Limits), // below deadline: waiting has an end; above all that costs
		faults.Layer(s.faults(), s.cfg.Random),                          // above retry: what fails on purpose reaches the caller
		breaker.Layer(s.breakers(), s.cfg.Breaker),                      // above retry: what fails however often it is tried counts once
		mirror.Layer(s.mirrors()),                                       // above retry: one copy a call; below faults and breaker: what never left is not copied
		affinity.Layer(s.affinities()),                                  // above retry: all attempts of a call have one key
		subset.Layer(s.subsets()),                                       // above retry: all attempts of a call go to the same endpoints
		retry.Layer(s.retries()),                                        // above the cluster: each attempt picks an endpoint anew
		hedge.Layer(s.hedges()),                                         // under retry: each try may have a second attempt; the cluster says where the first one is
		canary.Layer(s.canaries()),                                      // directly above the upstream: it says which one
	}
}

// upstream hands the call to the cluster that answers its method.
func (s *Service) upstream(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	return s.cfg.Policies.For(call).Upstream.Handle(ctx, call)
}

// Handle answers a call of the service.
func (s *Service) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	return s.handler.Handle(ctx, call)
}

// Stack returns the layers, outermost first, for people to read.
func (s *Service) Stack() rpc.Stack { return s.layers }

// Name returns the configured name.
func (s *Service) Name() string { return s.cfg.Name }

// Schema returns the IDL's service, nil if there is none.
func (s *Service) Schema() *schema.Service { return s.cfg.Schema }

func (s *Service) timeouts() rpc.PerMethod[time.Duration] {
	return each(s.cfg.Policies, func(p Policy) time.Duration { return p.Timeout })
}

func (s *Service) protocols() rpc.PerMethod[translate.Policy] {
	return each(s.cfg.Policies, func(p Policy) translate.Policy { return p.Wire })
}

func (s *Service) required() rpc.PerMethod[required.Policy] {
	return each(s.cfg.Policies, func(p Policy) required.Policy { return p.Required })
}

func (s *Service) callers() rpc.PerMethod[[]string] {
	return each(s.cfg.Policies, func(p Policy) []string { return p.Allow })
}

func (s *Service) affinities() rpc.PerMethod[affinity.Policy] {
	return each(s.cfg.Policies, func(p Policy) affinity.Policy { return p.Affinity })
}

func (s *Service) subsets() rpc.PerMethod[subset.Policy] {
	return each(s.cfg.Policies, func(p Policy) subset.Policy { return p.Subset })
}

func (s *Service) faults() rpc.PerMethod[faults.Policy] {
	return each(s.cfg.Policies, func(p Policy) faults.Policy { return p.Faults })
}

func (s *Service) mirrors() rpc.PerMethod[mirror.Policy] {
	return each(s.cfg.Policies, func(p Policy) mirror.Policy { return p.Mirror })
}

func (s *Service) canaries() rpc.PerMethod[canary.Policy] {
	return each(s.cfg.Policies, func(p Policy) canary.Policy { return p.Canary })
}

func (s *Service) caches() rpc.PerMethod[cache.Policy] {
	return each(s.cfg.Policies, func(p Policy) cache.Policy { return p.Cache })
}

func (s *Service) priorities() rpc.PerMethod[priority.Policy] {
	return each(s.cfg.Policies, func(p Policy) priority.Policy { return p.Priority })
}

func (s *Service) limits() rpc.PerMethod[limit.Policy] {
	return each(s.cfg.Policies, func(p Policy) limit.Policy { return p.Limit })
}

func (s *Service) retries() rpc.PerMethod[retry.Policy] {
	return each(s.cfg.Policies, func(p Policy) retry.Policy {
		return retry.Policy{Attempts: p.Retry.Attempts, Idempotent: p.Idempotent, Budget: p.Budget, Percent: p.Retry.BudgetPercent}
	})
}

func (s *Service) breakers() rpc.PerMethod[breaker.Policy] {
	return each(s.cfg.Policies, func(p Policy) breaker.Policy { return p.Breaker })
}

// hedges are taken from the budget of tries. Where those put less in than hedges may take out, the hedges put in the rest.
func (s *Service) hedges() rpc.PerMethod[hedge.Policy] {
	return each(s.cfg.Policies, func(p Policy) hedge.Policy {
		if !p.Idempotent {
			return hedge.Policy{}
		}
		h := p.Hedge
		h.Budget, h.Deposit = p.Budget, h.Percent
		if p.Retry.Attempts > 1 {
			h.Deposit = max(0, h.Percent-p.Retry.BudgetPercent)
		}
		return h
	})
}

// each applies f to the value of every method.
func each[T, U any](p rpc.PerMethod[T], f func(T) U) rpc.PerMethod[U] {
	out := rpc.PerMethod[U]{Other: f(p.Other), Methods: make([]U, len(p.Methods))}
	for i, v := range p.Methods {
		out.Methods[i] = f(v)
	}
	return out
}
