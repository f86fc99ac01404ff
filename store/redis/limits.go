package redis

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/thriftloom/thriftloom/layer/limit"
)

// takeScript is the generic cell rate algorithm as a leaky bucket: what was taken runs out at the rate, and one more is taken where it fits.
// A bucket is "TIME LEVEL", in µs of the server's clock and calls. Where that clock is stepped back, nothing runs out for the step, and it goes
// on from there. ARGV: calls a second, burst, and the time in tests.
// Source: ITU-T I.371, annex A, "Continuous-state leaky bucket algorithm".
var takeScript = rueidis.NewLuaScript(`
local now = tonumber(ARGV[3])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local v = redis.pcall('GET', KEYS[1])
local last, level = string.match(type(v) == 'string' and v or '', '^(%d+) ([%d.]+)$')
last, level = tonumber(last) or now, tonumber(level) or 0
if now > last then level = math.max(0, level - (now - last) * rate / 1000000) end
local ok = level + 1 <= burst + 1e-9
if ok then level = level + 1 end
local full = math.min(1e15, math.ceil(level / rate * 1000) + (ARGV[3] and 3600000 or 1000))
redis.call('SET', KEYS[1], string.format('%.0f %.12f', now, level), 'PX', string.format('%.0f', full))
return ok and 1 or 0`)

// Limits keeps the buckets of limits in Redis, by the clock of the server. It implements limit.Store.
//
// It has a connection of its own, which is not tracked: a bucket changes with each call, and a reply that is long does not keep it waiting.
type Limits struct {
	link   *link
	prefix string
}

// NewLimits returns a store of limits as New returns one of replies. It is to be closed.
func NewLimits(c Config, t *tls.Config) (*Limits, error) {
	c = c.WithDefaults()
	l, err := newLink(c, t, nil)
	if err != nil {
		return nil, err
	}
	l.start()
	return &Limits{l, c.Namespace + ":limit:"}, nil
}

// Close ends what is under way and the connections.
func (l *Limits) Close() { l.link.close() }

// Take implements limit.Store. The server's time counts, and now does not. A bucket that the server has lost is full.
func (l *Limits) Take(ctx context.Context, k limit.Key, r limit.Rate, burst int, _ time.Time) (bool, error) {
	return l.take(ctx, k, r, burst)
}

func (l *Limits) take(ctx context.Context, k limit.Key, r limit.Rate, burst int, now ...string) (bool, error) {
	return do(ctx, l.link, func(c rueidis.Client) (bool, error) {
		perSecond := strconv.FormatFloat(r.Calls/r.Per.Seconds(), 'g', -1, 64)
		args := append([]string{perSecond, strconv.Itoa(burst)}, now...)
		n, err := takeScript.Exec(context.Background(), c, []string{l.prefix + digest(k)}, args).AsInt64()
		return n == 1, err
	})
}

// digest is a key as the server has it: of one length, and without the name of a caller.
func digest(k limit.Key) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(k.Rule)) + " " + k.Rule + k.Of))
	return hex.EncodeToString(sum[:16])
}
