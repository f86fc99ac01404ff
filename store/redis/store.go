// Package redis keeps what gateways share in Redis: replies, which each may have in memory too as long as the server tells what changes, and
// buckets of limits.
//
//	NAMESPACE:{ID}      a reply               for its life
//	NAMESPACE:{ID}:l    its lease             for its term
//	NAMESPACE:{ID}:v    a group's version     for a week from when it was drawn or asked for
//	NAMESPACE:limit:KEY a bucket of a limit   until it is full
//
// What stands in braces chooses the node of a cluster: a reply and its lease are at one.
//
// A replica that takes the place of its master may not have the last changes, as Redis tells of a change before its replicas have it: what was
// deleted or invalidated in the last moments before may be there again. Gateways forget what they have in memory then.
package redis

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/thriftloom/thriftloom/layer/cache"
)

const (
	maxValue     = 32 << 20 // bytes of a reply; what is longer another program has put there, and it is cut
	versionLife  = 7 * 24 * time.Hour
	versionLeast = 2 * 24 * time.Hour // that a version lives on when it is asked for: longer than any reply that is kept with it
	batch        = 128                // keys that are deleted at once
)

// The scripts. Each has one key, or two with one tag. Keys that a connection has read are tracked for it until they change, by itself too, of
// which it is not told: so what a script has written it reads again at the end, in one step for all others.
const versionScript = `
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'string' and #v == 8 then
  if redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[3]) then return v end
else
  v = ARGV[1]
end
redis.call('SET', KEYS[1], v, 'PX', ARGV[2])
return redis.call('GET', KEYS[1])`

var (
	putScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[2])
return 1`)
	extendScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)
	releaseScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`)
)

var errVersion = errors.New("a group's version is not one: what another program has put there is to be invalidated")

// Store keeps replies in Redis. It implements cache.Store.
type Store struct {
	link   *link
	events cache.Events
	prefix string
}

// New returns a store, which reaches for its servers in the background, where they are away for as long as it takes; t, if not nil, is how to
// speak TLS to them. It fails where c has a mistake. It is to be closed.
func New(c Config, t *tls.Config, events cache.Events) (*Store, error) {
	c = c.WithDefaults()
	s := &Store{events: events, prefix: c.Namespace + ":{"}
	told := s.told
	if !c.Tracking {
		told = nil
	}
	var err error
	if s.link, err = newLink(c, t, told); err != nil {
		return nil, err
	}
	s.link.start()
	return s, nil
}

// Close ends what is under way and the connections. Nothing is told after it.
func (s *Store) Close() { s.link.close() }

// Tracks implements cache.Store.
func (s *Store) Tracks() bool { return s.link.config.Tracking }

// Get implements cache.Store. Something else than a reply, which another program has put there, is none.
func (s *Store) Get(ctx context.Context, key cache.ID, groups []cache.ID) (cache.Stored, error) {
	groups = slices.Clone(groups)
	return do(ctx, s.link, func(c rueidis.Client) (cache.Stored, error) {
		commands := make(rueidis.Commands, 0, 1+len(groups))
		commands = append(commands, c.B().Getrange().Key(s.key(key)).Start(0).End(maxValue-1).Build())
		for _, g := range groups {
			commands = append(commands, c.B().Getrange().Key(s.version(g)).Start(0).End(8).Build())
		}
		all := c.DoMulti(context.Background(), commands...)
		value, err := read(all[0])
		if err != nil {
			return cache.Stored{}, err
		}
		out := cache.Stored{Value: value, Versions: make([]uint64, len(groups))}
		for i, r := range all[1:] {
			b, err := read(r)
			if err != nil {
				return cache.Stored{}, err
			}
			out.Versions[i] = number(b)
		}
		return out, nil
	})
}

// read returns a string; nil where there is none, or something else than one.
func read(r rueidis.RedisResult) ([]byte, error) {
	b, err := r.AsBytes()
	if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
		return nil, nil
	}
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return b, nil
}

// Acquire implements cache.Store.
func (s *Store) Acquire(ctx context.Context, key cache.ID, groups []cache.ID, term time.Duration) (cache.Lease, error) {
	groups = slices.Clone(groups)
	return do(ctx, s.link, func(c rueidis.Client) (cache.Lease, error) {
		l := cache.Lease{Token: draw(), Versions: make([]uint64, len(groups))}
		commands := make(rueidis.Commands, 0, 1+len(groups))
		commands = append(commands, c.B().Set().Key(s.lease(key)).Value(text(l.Token)).Nx().PxMilliseconds(milliseconds(term)).Build())
		for _, g := range groups { // by text: the pipeline would not end well where one server has forgotten a script
			commands = append(commands, c.B().Eval().Script(versionScript).Numkeys(1).Key(s.version(g)).
				Arg(text(draw()), decimal(milliseconds(versionLife)), decimal(milliseconds(versionLeast))).Build())
		}
		all := c.DoMulti(context.Background(), commands...)
		switch err := all[0].Error(); {
		case rueidis.IsRedisNil(err):
			return cache.Lease{}, nil
		case err != nil:
			return cache.Lease{}, err
		}
		err := ctx.Err() // the caller may have gone: nobody else would end the lease
		for i, r := range all[1:] {
			b, e := r.AsBytes()
			if l.Versions[i] = number(b); e == nil && l.Versions[i] == 0 {
				e = errVersion
			}
			err = errors.Join(err, e)
		}
		if err != nil {
			releaseScript.Exec(context.Background(), c, []string{s.lease(key)}, []string{text(l.Token)})
			return cache.Lease{}, err
		}
		return l, nil
	})
}

// Extend implements cache.Store.
func (s *Store) Extend(ctx context.Context, key cache.ID, l cache.Lease, term time.Duration) error {
	return s.run(ctx, extendScript, key, text(l.Token), decimal(milliseconds(term)))
}

// Release implements cache.Store.
func (s *Store) Release(ctx context.Context, key cache.ID, l cache.Lease) error {
	return s.run(ctx, releaseScript, key, text(l.Token))
}

// run runs a script on the lease of a key.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, key cache.ID, args ...string) error {
	_, err := do(ctx, s.link, func(c rueidis.Client) (struct{}, error) {
		return struct{}{}, script.Exec(context.Background(), c, []string{s.lease(key)}, args).Error()
	})
	return err
}

// Put implements cache.Store. It does not keep what is longer than 32 MiB.
func (s *Store) Put(ctx context.Context, key cache.ID, l cache.Lease, value []byte, life time.Duration) (bool, error) {
	if len(value) > maxValue {
		return false, s.Release(ctx, key, l)
	}
	args := []string{text(l.Token), string(value), decimal(milliseconds(life))}
	return do(ctx, s.link, func(c rueidis.Client) (bool, error) {
		n, err := putScript.Exec(context.Background(), c, []string{s.key(key), s.lease(key)}, args).AsInt64()
		return n == 1, err
	})
}

// Delete implements cache.Store.
func (s *Store) Delete(ctx context.Context, keys ...cache.ID) error {
	return s.change(ctx, keys, func(b rueidis.Builder, key cache.ID) rueidis.Completed {
		return b.Unlink().Key(s.key(key), s.lease(key)).Build()
	})
}

// Invalidate implements cache.Store.
func (s *Store) Invalidate(ctx context.Context, groups ...cache.ID) error {
	return s.change(ctx, groups, func(b rueidis.Builder, g cache.ID) rueidis.Completed {
		return b.Set().Key(s.version(g)).Value(text(draw())).PxMilliseconds(milliseconds(versionLife)).Build()
	})
}

// change sends a command for each of ids. It tells of them itself, whatever came of it: the server, which does not tell of them, may have
// changed them, and does not track them any more.
func (s *Store) change(ctx context.Context, ids []cache.ID, command func(rueidis.Builder, cache.ID) rueidis.Completed) error {
	for some := range slices.Chunk(slices.Clone(ids), batch) {
		_, err := do(ctx, s.link, func(c rueidis.Client) (struct{}, error) {
			commands := make(rueidis.Commands, 0, len(some))
			for _, id := range some {
				commands = append(commands, command(c.B(), id))
			}
			var all []error
			for _, r := range c.DoMulti(context.Background(), commands...) {
				all = append(all, r.Error())
			}
			s.tell(some)
			return struct{}{}, errors.Join(all...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// told takes in what the server tells. nil is that all may have changed: the connection broke, or was silent, or all was deleted.
func (s *Store) told(keys []rueidis.RedisMessage) {
	if keys == nil {
		if s.events.Lost != nil && s.link.ctx.Err() == nil {
			s.events.Lost()
		}
		return
	}
	ids := make([]cache.ID, 0, len(keys))
	for i := range keys {
		text, _ := keys[i].ToString()
		if id, ok := s.parse(text); ok {
			ids = append(ids, id)
		}
	}
	s.tell(ids)
}

func (s *Store) tell(ids []cache.ID) {
	if len(ids) > 0 && s.Tracks() && s.events.Changed != nil && s.link.ctx.Err() == nil {
		s.events.Changed(ids)
	}
}

func (s *Store) key(id cache.ID) string     { return s.prefix + hex.EncodeToString(id[:]) + "}" }
func (s *Store) lease(id cache.ID) string   { return s.key(id) + ":l" }
func (s *Store) version(id cache.ID) string { return s.key(id) + ":v" }

// parse returns whose reply or version a key is; ok is false for any other key.
func (s *Store) parse(key string) (id cache.ID, ok bool) {
	rest, ok := strings.CutPrefix(key, s.prefix)
	if !ok || len(rest) < 2*len(id)+1 {
		return id, false
	}
	if tail := rest[2*len(id):]; tail != "}" && tail != "}:v" {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(rest[:2*len(id)]))
	return id, err == nil
}

// draw returns a random number that is not 0.
func draw() uint64 { return max(1, rand.Uint64()) }

// text and number are how a token or a version is kept: eight bytes, big-endian.
func text(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// milliseconds returns d as a lifetime, of which Redis knows none that is 0.
func milliseconds(d time.Duration) int64 { return max(1, d.Milliseconds()) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
