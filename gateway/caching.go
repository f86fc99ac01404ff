package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/store"
	"github.com/thriftloom/thriftloom/store/near"
)

// StoreClients are the clients of the stores that gateways share: who runs a gateway hands them in, since they pull in much.
type StoreClients struct {
	// Redis makes what keeps replies and what limits count with, and what closes both. t, which may be nil, returns how to speak TLS.
	Redis func(c store.RedisConfig, t func() *tls.Config, events cache.Events) (replies cache.Store, limits limit.Store, closes func(), err error)
	// Memcached makes what keeps replies, and what closes it.
	Memcached func(c store.MemcachedConfig) (replies cache.Store, closes func(), err error)
}

// storesPlan is what the config says of stores.
type storesPlan struct {
	near      int64
	used      bool // a method caches
	patience  time.Duration
	redis     *store.RedisConfig // nil: none
	redisTLS  *tlsPlan
	memcached *store.MemcachedConfig // nil: none
}

// caching is the replies of all services, and the stores that they are kept in too. It outlives a reload. Gateway.changing guards what is open.
type caching struct {
	*cache.State
	near   *near.Near // nil while no method caches
	plan   storesPlan
	closes map[string]func() // of the stores that are open, by name
}

func (g *Gateway) newCaching() *caching {
	return &caching{State: cache.NewState(cache.Options{OnStore: g.tellStore, OnVoid: g.tellVoid}), closes: map[string]func(){}}
}

// remember gives replies so much memory.
func (c *caching) remember(bytes int64) {
	if c.near != nil {
		c.near.SetMax(bytes)
		return
	}
	c.near = near.New(bytes)
	c.near.Removed = func(_ cache.ID, e *cache.Entry, evicted bool) { e.Left(evicted) }
	c.Keep(c.near)
}

func (c *caching) close() {
	c.Close()
	for _, f := range c.closes {
		f()
	}
	if c.near != nil {
		c.near.Close()
	}
}

// tellStore tells of a store that is not asked any more, or is again.
func (g *Gateway) tellStore(name string, err error) {
	if err == nil {
		g.log.Info("a store is asked again", "store", name)
		return
	}
	g.metrics.storeLost.WithLabelValues(name).Inc()
	if n, ok := g.quiet.take("store "+name, time.Now()); ok {
		g.log.Warn("a store does not answer in time: calls are made without it until it does", "store", name, "error", err, "not_told", n)
	}
}

var errNoClient = errors.New("this program is built without a client of it")

// opened is a store that is open and not used yet.
type opened struct {
	name   string
	store  cache.Store // nil: it is to be taken away
	limits limit.Store
	close  func()
}

// openStores opens the stores of a plan that are other ones than those that are used. Nothing is changed yet.
func (g *Gateway) openStores(p *storesPlan, keys keys) (all []opened, err error) {
	was := &g.cache.plan
	if !reflect.DeepEqual(p.redis, was.redis) || !p.redisTLS.equal(was.redisTLS) || p.patience != was.patience {
		o := opened{name: "redis"}
		if p.redis != nil {
			if o, err = g.openRedis(p, keys); err != nil {
				return nil, err
			}
		}
		all = append(all, o)
	}
	if !reflect.DeepEqual(p.memcached, was.memcached) || p.patience != was.patience {
		o := opened{name: "memcached"}
		if p.memcached != nil {
			if err = errNoClient; g.opts.Stores.Memcached != nil {
				o.store, o.close, err = g.opts.Stores.Memcached(*p.memcached)
			}
			if err != nil {
				closeStores(all)
				return nil, fmt.Errorf("stores.memcached: %w", err)
			}
		}
		all = append(all, o)
	}
	return all, nil
}

func (g *Gateway) openRedis(p *storesPlan, keys keys) (opened, error) {
	if g.opts.Stores.Redis == nil {
		return opened{}, fmt.Errorf("stores.redis: %w", errNoClient)
	}
	var secure func() *tls.Config
	if source := keys.source(p.redisTLS); source != nil {
		secure = func() *tls.Config { return source.Client(p.redisTLS.serverName, p.redisTLS.chainOnly) }
	}
	o := opened{name: "redis"}
	var err error
	if o.store, o.limits, o.close, err = g.opts.Stores.Redis(*p.redis, secure, g.cache.Events("redis")); err != nil {
		return opened{}, fmt.Errorf("stores.redis: %w", err)
	}
	return o, nil
}

func closeStores(all []opened) {
	for _, o := range all {
		if o.close != nil {
			o.close()
		}
	}
}

// useStores puts the stores that were opened in the place of those before.
func (g *Gateway) useStores(p *storesPlan, all []opened) {
	c := g.cache
	if p.used {
		c.remember(p.near)
	}
	for _, o := range all {
		c.Use(o.name, o.store, p.patience)
		if o.name == "redis" {
			g.limits.Share(o.limits, p.patience)
		}
		if old := c.closes[o.name]; old != nil {
			old()
		}
		delete(c.closes, o.name)
		if o.close != nil {
			c.closes[o.name] = o.close
		}
	}
	c.plan = *p
}

// explain is a line for each store.
func (p *storesPlan) explain() (lines []string) {
	if p.redis != nil {
		who := ""
		if p.redis.User != "" {
			who = ", as " + p.redis.User
		}
		lines = append(lines, strings.Join(p.redis.Addresses, ", ")+"  Redis"+who+p.redisTLS.explain())
	}
	if p.memcached != nil {
		lines = append(lines, strings.Join(p.memcached.Addresses, ", ")+"  memcached")
	}
	return lines
}

// stores resolves what the config says of stores.
func (l *loader) stores() {
	s, p := &l.cfg.Stores, &l.cfg.Resolved.stores
	p.near, p.patience = int64(s.Near), s.Patience
	if s.Redis.at.written() {
		c := s.Redis.RedisConfig
		l.storeMistakes(s.Redis.at, c.Mistakes())
		for _, x := range []struct {
			key string
			to  *string
		}{{"password_file", &c.PasswordFile}, {"sentinel.password_file", &c.Sentinel.PasswordFile}} {
			if *x.to != "" {
				at := s.Redis.at.below(x.key)
				l.secretFile(at.node, at.key, *x.to)
				*x.to = l.abs(*x.to)
			}
		}
		p.redis, p.redisTLS = &c, l.clientTLS(&s.Redis.TLS)
	}
	if s.Memcached.at.written() {
		c := s.Memcached.MemcachedConfig
		l.storeMistakes(s.Memcached.at, c.Mistakes())
		p.memcached = &c
	}
}

func (l *loader) storeMistakes(at place, all []store.Mistake) {
	if l.told(at.key) {
		return
	}
	for _, m := range all {
		to := at
		if at.node.Kind == yaml.MappingNode {
			to = at.below(m.Key)
		}
		l.Addf(to.node, to.key, "%s", m.Text)
	}
}
