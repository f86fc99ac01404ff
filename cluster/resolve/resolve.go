// Package resolve finds endpoints over time: a Resolver asks one source, and a Keeper hands on what it finds and keeps the last good set
// while the source fails.
//
// The sources stand in packages of their own, for what they pull in: resolve/file, resolve/dns, resolve/etcd, resolve/consul.
package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// A Resolver asks one source for the endpoints of one name, over time.
type Resolver interface {
	// Run calls tell with each answer of the source, and each time that there was none to be had, until ctx ends. It goes on by itself after
	// a failure, with pauses. It returns when all that it has started has, and may be run again then. tell is quick, and is not called by two
	// goroutines at one time.
	Run(ctx context.Context, tell Tell)
	// String names the source for people: "dns users.internal:6000".
	String() string
}

// Tell takes what a source says.
//
//	endpoints, nil    all endpoints that there are now
//	endpoints, err    the same, and some more that are not understood
//	nil, nil          there are none; ErrNone, which may be wrapped, says the same
//	nil, err          the source could not be asked, or is broken
//
// The endpoints belong to the callee.
type Tell func(endpoints []rpc.Endpoint, err error)

// ErrNone is what a source says that knows of no endpoint.
var ErrNone = errors.New("the source names no endpoint")

// MaxEndpoints bounds what is taken of one source, in endpoints.
const MaxEndpoints = 10_000

// Static is a source that never changes.
type Static []rpc.Endpoint

// Run implements Resolver.
func (s Static) Run(ctx context.Context, tell Tell) {
	tell(append([]rpc.Endpoint(nil), s...), nil)
	<-ctx.Done()
}

func (s Static) String() string { return "static" }

// Entry is an endpoint as registries have it.
type Entry struct {
	Address string            `json:"address"` // host:port or unix:/path
	Slots   int               `json:"slots"`   // 0: the upstream's
	Weight  *int              `json:"weight"`  // nil: 1; 0: takes no new call
	Zone    string            `json:"zone"`
	Labels  map[string]string `json:"labels"`
}

// The bounds of an entry: those that the config has.
const (
	maxSlots  = 65536
	maxWeight = 1000
)

// Endpoint checks the entry and returns it as an endpoint, named by its address.
func (e Entry) Endpoint() (rpc.Endpoint, error) {
	out := rpc.Endpoint{Address: e.Address, Name: e.Address, Slots: e.Slots, Zone: e.Zone}
	if err := checkAddress(e.Address); err != nil {
		return out, err
	}
	if err := rpc.CheckLabels(e.Labels); err != nil {
		return out, err
	}
	out.Labels = rpc.NewLabels(e.Labels)
	if e.Slots < 0 || e.Slots > maxSlots {
		return out, fmt.Errorf("slots: %d is not within 1 and %d", e.Slots, maxSlots)
	}
	if e.Weight != nil {
		if *e.Weight < 0 || *e.Weight > maxWeight {
			return out, fmt.Errorf("weight: %d is not within 0 and %d", *e.Weight, maxWeight)
		}
		out.Weight, out.Drained = *e.Weight, *e.Weight == 0
	}
	return out, nil
}

func checkAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("address %.64q: the path of a unix socket begins with /", address)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" || strings.ContainsAny(host, " /") {
		return fmt.Errorf("address %.64q: want host:port or unix:/path", address)
	}
	return nil
}

// ParseEntry reads the value of a key: an address, or an Entry as JSON, in which keys that are not known are left alone.
func ParseEntry(value string) (rpc.Endpoint, error) {
	value = strings.TrimSpace(value)
	e := Entry{Address: value}
	if strings.HasPrefix(value, "{") {
		e = Entry{}
		if err := json.Unmarshal([]byte(value), &e); err != nil {
			return rpc.Endpoint{}, fmt.Errorf("no JSON of an endpoint: %w", err)
		}
	}
	return e.Endpoint()
}

// Backoff is the pauses after failures in a row. The zero value is ready. Not safe for concurrent use.
type Backoff struct{ failures int }

// The bounds of a Backoff.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// Next returns the pause after one more failure: twice the one before, 30s at most, less up to a fifth at random, so that many who have
// lost the same source do not come back at one time.
func (b *Backoff) Next() time.Duration {
	d := min(firstPause<<min(b.failures, 10), longestPause)
	b.failures++
	return d - time.Duration(rand.Int64N(int64(d)/5))
}

// Reset is for a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Wait waits for d, or until ctx ends, and reports whether it has not.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
