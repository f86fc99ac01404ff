// Package etcd finds endpoints under a prefix of keys in etcd: each value is an address, or JSON with address, slots, weight,
// zone and labels.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/rpc"
)

// How long things take.
const (
	dialTimeout   = 5 * time.Second
	askTimeout    = 5 * time.Second
	askEvery      = 10 * time.Second       // a watch that is cut off says nothing: a question does
	shortest      = 100 * time.Millisecond // before what is compacted is read anew
	keepAlive     = 10 * time.Second
	keepAliveWait = 3 * time.Second
	maxSendBytes  = 2 << 20
	maxTakeBytes  = 64 << 20 // an answer with MaxEndpoints values
)

// Resolver reads what stands under the prefix, and watches it from the revision of that read on.
type Resolver struct {
	config resolve.EtcdConfig
	every  time.Duration
}

// New returns a resolver. It connects in Run.
func New(c resolve.EtcdConfig) resolve.Resolver { return &Resolver{config: c, every: askEvery} }

func (r *Resolver) String() string {
	return "etcd " + strings.Join(r.config.Endpoints, ",") + " " + r.config.Prefix
}

// Run implements resolve.Resolver. Each failure ends the session; the next one reads passwords and certificates anew.
func (r *Resolver) Run(ctx context.Context, tell resolve.Tell) {
	var failed resolve.Backoff
	for {
		err := r.session(ctx, func(endpoints []rpc.Endpoint, err error) {
			failed.Reset()
			tell(endpoints, err)
		})
		if ctx.Err() != nil {
			return
		}
		pause := shortest
		if !errors.Is(err, errCompacted) { // that is no failure: what is there is read anew
			tell(nil, err)
			pause = failed.Next()
		}
		if !resolve.Wait(ctx, pause) {
			return
		}
	}
}

// errCompacted ends a watch that wants to go on from where etcd does not remember any more.
var errCompacted = errors.New("the revision is compacted")

// session is one client: what is there, and then what changes, until that fails.
func (r *Resolver) session(ctx context.Context, tell resolve.Tell) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	values, revision, err := r.read(ctx, c)
	if err != nil {
		return err
	}
	tell(endpoints(values))
	// Watch returns when a member has granted it, which may be never. With a leader required, a member that is cut off from the others ends
	// the watch instead of being silent.
	opened := make(chan clientv3.WatchChan, 1)
	go func(from int64) {
		opened <- c.Watch(clientv3.WithRequireLeader(ctx), r.config.Prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	}(revision + 1)
	var changes clientv3.WatchChan // nil until it is granted
	defer func() {
		if end(); changes == nil {
			<-opened
		}
	}()
	ask := time.NewTicker(r.every)
	defer ask.Stop()
	for {
		select {
		case changes = <-opened:
		case w, ok := <-changes:
			switch {
			case !ok:
				return errors.Join(ctx.Err(), errors.New("the watch has ended"))
			case w.CompactRevision != 0:
				return errCompacted
			case w.Err() != nil:
				return fmt.Errorf("watch: %w", w.Err())
			}
			if apply(values, w.Events, revision) {
				tell(endpoints(values))
			}
		case <-ask.C:
			now, at, err := r.read(ctx, c)
			if err != nil {
				return err
			}
			values, revision = now, at
			tell(endpoints(values))
		}
	}
}

func (r *Resolver) connect(ctx context.Context) (*clientv3.Client, error) {
	c := clientv3.Config{
		Context: ctx, Endpoints: r.config.Endpoints, Logger: zap.NewNop(), Username: r.config.Username,
		DialTimeout: dialTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAliveWait,
		MaxCallSendMsgSize: maxSendBytes, MaxCallRecvMsgSize: maxTakeBytes,
	}
	if r.config.TLS != nil {
		c.TLS = r.config.TLS()
	} else if slices.ContainsFunc(c.Endpoints, func(e string) bool { return strings.HasPrefix(e, "https://") }) {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if r.config.Username != "" {
		password, err := r.config.Password()
		if err != nil {
			return nil, err
		}
		c.Password = password
	}
	client, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", plain(err))
	}
	return client, nil
}

// read returns all values by key, and the revision at which they were so.
func (r *Resolver) read(ctx context.Context, c *clientv3.Client) (map[string]string, int64, error) {
	ctx, end := context.WithTimeout(ctx, askTimeout)
	defer end()
	got, err := c.Get(ctx, r.config.Prefix, clientv3.WithPrefix(), clientv3.WithLimit(resolve.MaxEndpoints+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read: %w", plain(err))
	}
	if got.More || len(got.Kvs) > resolve.MaxEndpoints {
		return nil, 0, fmt.Errorf("more than %d keys begin with %s", resolve.MaxEndpoints, r.config.Prefix)
	}
	values := make(map[string]string, len(got.Kvs))
	for _, kv := range got.Kvs {
		values[string(kv.Key)] = string(kv.Value)
	}
	return values, got.Header.Revision, nil
}

// plain says in few words what a deadline means.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no member answers in time")
	}
	return err
}

// apply lays changes on values, which are as they were at a revision, and reports whether there are any: what a read has seen already the
// watch may say after it.
func apply(values map[string]string, events []*clientv3.Event, revision int64) (changed bool) {
	for _, e := range events {
		if e.Kv.ModRevision <= revision {
			continue
		}
		changed = true
		if e.Type == clientv3.EventTypeDelete {
			delete(values, string(e.Kv.Key))
		} else {
			values[string(e.Kv.Key)] = string(e.Kv.Value)
		}
	}
	return changed
}

// maxTold bounds how many broken values an error tells.
const maxTold = 5

// endpoints reads the values in the order of their keys. One that is broken takes no other along.
func endpoints(values map[string]string) (out []rpc.Endpoint, err error) {
	var broken []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		e, err := resolve.ParseEntry(values[key])
		switch {
		case err == nil:
			out = append(out, e)
		case len(broken) < maxTold:
			broken = append(broken, fmt.Errorf("key %q: %w", key, err))
		}
	}
	return out, errors.Join(broken...)
}
