// Package memcached keeps replies on one or many memcached servers that gateways share, over a client of its own for memcached's meta protocol.
//
// A value and the right to replace it are one item. Where there is no value, a lease is an empty item, made by the one that asks first (N), with
// the term for its life. Where there is one, it is an item beside it, added by the first one. Either way a value is written only in place of what
// the item was when the lease was given (its cas), and a purge removes the item: so nothing is written behind a purge, whatever becomes of
// the item beside.
//
// memcached counts in seconds: a term or a life is rounded up to whole ones, and may be up to 3s longer; none is longer than 30 days. A value that
// is empty, or larger than 8 MiB or than what the servers take (1 MiB by default), is not kept.
//
// Log-in (SASL) and TLS are not spoken.
package memcached

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/store"
)

// The bounds of a Store.
const (
	maxPurges   = 1024 // under way, those whose callers have gone among them
	purgeChunk  = 100  // keys that are purged with one request
	versionLife = 7 * 24 * time.Hour
)

// Store is the cache.Store of memcached servers. Safe for concurrent use.
type Store struct {
	config  Config
	ring    ring
	nodes   []*node
	epochs  []epoch       // of what each node keeps for each home
	returns atomic.Uint64 // how often a node was back
	purges  chan struct{}
	life    life
}

// errRefused is of a server that answers, but does not do what it was asked for: it has no memory that it could give up.
var errRefused = errors.New("memcached: the server has no room")

// New returns a store that connects when it is asked. An error names what is wrong with the config.
func New(c Config) (*Store, error) { return newStore(c, new(net.Dialer).DialContext) }

func newStore(c Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Store, error) {
	var wrong []error
	for _, m := range c.Mistakes() {
		wrong = append(wrong, fmt.Errorf("memcached: %s: %s", m.Key, m.Text))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	s := &Store{config: c.WithDefaults(), purges: make(chan struct{}, maxPurges)}
	s.life.ctx, s.life.cancel = context.WithCancel(context.Background())
	var servers []server
	for i, text := range c.Addresses {
		one, _ := store.ParseMemcachedServer(text)
		servers = append(servers, one)
		s.nodes = append(s.nodes, &node{
			server: one, epochKey: epochKey(s.config.Namespace, one.Name()), config: s.config, life: &s.life, dial: dial,
			links: make([]link, s.config.Connections),
			back:  func() func(context.Context) { return s.returned(i) },
		})
	}
	s.ring = newRing(servers)
	s.epochs = make([]epoch, len(servers)*len(servers))
	for i := range s.epochs {
		s.epochs[i].lock = make(chan struct{}, 1)
	}
	return s, nil
}

// Close ends what is under way, with an error, and returns when all has ended.
func (s *Store) Close() { s.life.end() }

// Snapshot returns the servers as this gateway sees them, in the order of the config.
func (s *Store) Snapshot() []NodeSnapshot {
	var all []NodeSnapshot
	for _, n := range s.nodes {
		all = append(all, n.snapshot())
	}
	return all
}

// Tracks implements cache.Store: memcached tells nothing.
func (s *Store) Tracks() bool { return false }

// Get implements cache.Store, in one round trip to each node.
func (s *Store) Get(ctx context.Context, key cache.ID, groups []cache.ID) (cache.Stored, error) {
	commands := make([]command, 1, 1+len(groups))
	commands[0] = command{verb: "mg", kind: kindValue, id: key, flags: " v"}
	for _, g := range groups {
		commands = append(commands, command{verb: "mg", kind: kindVersion, id: g, flags: " v"})
	}
	replies, err := s.ask(ctx, again, commands...)
	if err != nil {
		return cache.Stored{}, err
	}
	out := cache.Stored{Versions: make([]uint64, len(groups))}
	if len(replies[0].value) > 0 { // an empty one is a lease
		out.Value = replies[0].value
	}
	for i, r := range replies[1:] {
		out.Versions[i] = parseVersion(r.value)
	}
	return out, nil
}

// parseVersion is 0 where b is none.
func parseVersion(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// newVersion is drawn at random, and not 0.
func newVersion() []byte { return binary.BigEndian.AppendUint64(nil, max(1, rand.Uint64())) }

// Acquire implements cache.Store. Groups that have versions cost no round trip more, a lease over a value costs two.
func (s *Store) Acquire(ctx context.Context, key cache.ID, groups []cache.ID, term time.Duration) (cache.Lease, error) {
	commands := []command{{verb: "mg", kind: kindValue, id: key, flags: " c s", span: " N", life: term}}
	for _, g := range groups {
		commands = append(commands, command{verb: "mg", kind: kindVersion, id: g, flags: " v", span: " T", life: versionLife})
	}
	replies, err := s.ask(ctx, again, commands...)
	if err != nil {
		return cache.Lease{}, err
	}
	var l cache.Lease
	switch r := replies[0]; {
	case r.code == refused:
		return cache.Lease{}, errRefused
	case r.won:
		l.Token = token(r.cas, r.epoch)
	case r.size > 0:
		if l.Token, err = s.acquireOver(ctx, key, token(r.cas, r.epoch), term); err != nil {
			return cache.Lease{}, err
		}
	}
	if l.Versions, err = s.versions(ctx, groups, replies[1:]); err != nil {
		_ = s.Release(ctx, key, l) // or it ends with its term
		return cache.Lease{}, err
	}
	return l, nil
}

// acquireOver takes the lease over a value, whose token it was when it was looked at, and returns its token then, or 0.
func (s *Store) acquireOver(ctx context.Context, key cache.ID, value uint64, term time.Duration) (uint64, error) {
	replies, err := s.ask(ctx, again, command{verb: "ms", kind: kindLease, id: key, flags: " ME", span: " T", life: term})
	switch {
	case err != nil:
		return 0, err
	case replies[0].code == refused:
		return 0, errRefused
	case replies[0].code != done:
		return 0, nil
	}
	// To append nothing leaves the value as it is, and its life, but gives it another cas: the lease of one that has let its term pass is void.
	replies, err = s.ask(ctx, once, command{verb: "ms", kind: kindValue, id: key, flags: " MA c", lease: true, token: value})
	if err == nil && replies[0].code == done {
		return token(replies[0].cas, replies[0].epoch) | overValue, nil
	}
	return 0, errors.Join(err, s.dropLease(ctx, key))
}

// dropLease ends the term of a lease over a value.
func (s *Store) dropLease(ctx context.Context, key cache.ID) error {
	_, err := s.ask(ctx, again, command{verb: "md", kind: kindLease, id: key})
	return err
}

// versions returns those of groups; where a reply has none, it makes one, or takes that which another has made meanwhile.
func (s *Store) versions(ctx context.Context, groups []cache.ID, replies []reply) ([]uint64, error) {
	out := make([]uint64, len(groups))
	var missing []int
	for i, r := range replies {
		if out[i] = parseVersion(r.value); out[i] == 0 {
			missing = append(missing, i)
		}
	}
	mode := " ME"
	for range maxTries {
		if len(missing) == 0 {
			return out, nil
		}
		var commands []command
		for _, i := range missing {
			g := command{kind: kindVersion, id: groups[i], span: " T", life: versionLife}
			make, look := g, g
			make.verb, make.flags, make.value = "ms", mode, newVersion()
			look.verb, look.flags = "mg", " v"
			commands = append(commands, make, look)
		}
		replies, err := s.ask(ctx, again, commands...)
		if err != nil {
			return nil, err
		}
		missing = slices.DeleteFunc(missing, func(i int) bool {
			look := replies[1]
			replies = replies[2:]
			out[i] = parseVersion(look.value)
			return out[i] != 0
		})
		mode = "" // what is there is none
	}
	return nil, errRefused
}

// Extend implements cache.Store. One that is lost between its two round trips, to one who puts a value, lets that value live for a term.
func (s *Store) Extend(ctx context.Context, key cache.ID, l cache.Lease, term time.Duration) error {
	replies, err := s.ask(ctx, again, command{verb: "mg", kind: kindValue, id: key, flags: " c"})
	if err != nil || replies[0].code != done || token(replies[0].cas, replies[0].epoch) != l.Token&^overValue {
		return err
	}
	kind := byte(kindValue)
	if l.Token&overValue != 0 {
		kind = kindLease
	}
	_, err = s.ask(ctx, again, command{verb: "mg", kind: kind, id: key, span: " T", life: term})
	return err
}

// Put implements cache.Store.
func (s *Store) Put(ctx context.Context, key cache.ID, l cache.Lease, value []byte, life time.Duration) (kept bool, err error) {
	if len(value) == 0 || len(value) > maxValueBytes {
		return false, s.Release(ctx, key, l)
	}
	put := command{verb: "ms", kind: kindValue, id: key, span: " T", life: life, lease: true, token: l.Token, value: value}
	replies, err := s.ask(ctx, once, put)
	switch {
	case err != nil:
		return false, err
	case replies[0].code == refused && replies[0].text != tooLarge: // of which the server has dropped what was there
		return false, errRefused
	}
	kept = replies[0].code == done
	if kept && l.Token&overValue != 0 {
		_ = s.dropLease(ctx, key) // or it ends with its term
	}
	return kept, nil
}

// Release implements cache.Store.
func (s *Store) Release(ctx context.Context, key cache.ID, l cache.Lease) error {
	if l.Token == 0 {
		return nil
	}
	c := command{verb: "md", kind: kindValue, id: key, lease: true, token: l.Token}
	if l.Token&overValue == 0 {
		_, err := s.ask(ctx, once, c)
		return err
	}
	c.verb, c.flags = "ms", " MA" // nothing, for another cas
	replies, err := s.ask(ctx, once, c)
	if err != nil || replies[0].code != done {
		return err
	}
	return s.dropLease(ctx, key)
}

// Delete implements cache.Store.
func (s *Store) Delete(ctx context.Context, keys ...cache.ID) error {
	var commands []command
	for _, k := range keys {
		commands = append(commands, command{verb: "md", kind: kindValue, id: k}, command{verb: "md", kind: kindLease, id: k})
	}
	return s.purge(ctx, commands)
}

// Invalidate implements cache.Store.
func (s *Store) Invalidate(ctx context.Context, groups ...cache.ID) error {
	var commands []command
	for _, g := range groups {
		commands = append(commands, command{
			verb: "ms", kind: kindVersion, id: g, span: " T", life: versionLife, value: newVersion(),
		})
	}
	return s.purge(ctx, commands)
}

// purge sends commands that must not be lost: they go on when ctx ends, and what may have missed one is made void.
func (s *Store) purge(ctx context.Context, commands []command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for part := range slices.Chunk(commands, 2*purgeChunk) {
		select {
		case s.purges <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		end := make(chan error, 1)
		if !s.life.start(func() { end <- s.purgePart(part); <-s.purges }) {
			return errClosed
		}
		select {
		case err := <-end:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Store) purgePart(part []command) error {
	ctx, cancel := context.WithTimeout(s.life.ctx, maxTries*(s.config.Timeout+s.config.DialTimeout))
	defer cancel()
	replies, err := s.ask(ctx, purge, part...)
	if err != nil {
		return err
	}
	for i, r := range replies {
		if r.code == refused {
			s.missed(part, []int{i})
			err = errRefused
		}
	}
	return err
}

// Open makes what a gateway asks of memcached. closes ends it.
func Open(c Config) (replies cache.Store, closes func(), err error) {
	s, err := New(c)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}
