package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/cluster/resolve"
	"github.com/thriftloom/thriftloom/cluster/resolve/resolvetest"
	"github.com/thriftloom/thriftloom/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A source that never changes passes the kit.
func TestStatic(t *testing.T) {
	resolvetest.Run(t, func(*testing.T) resolvetest.Source {
		return resolvetest.Source{Resolver: resolve.Static{{Address: "127.0.0.1:6001", Name: "127.0.0.1:6001"}}}
	})
}

// spoken is a source that says what a test lets it say.
type spoken chan said

type said struct {
	endpoints []rpc.Endpoint
	err       error
}

func (s spoken) Run(ctx context.Context, tell resolve.Tell) {
	for {
		select {
		case <-ctx.Done():
			tell(nil, ctx.Err()) // as one does whose question was cut off
			return
		case x := <-s:
			tell(x.endpoints, x.err)
		}
	}
}

func (s spoken) String() string { return "spoken" }

// kept is a Keeper with what came of it.
type kept struct {
	*testing.T
	keeper  *resolve.Keeper
	source  spoken
	config  resolve.KeeperConfig
	mu      sync.Mutex
	sets    []string // that Update got
	changes []string // that Changed got
	end     context.CancelFunc
}

func keep(t *testing.T, hold time.Duration, inForce ...rpc.Endpoint) *kept {
	k := &kept{T: t, keeper: resolve.NewKeeper(inForce), source: make(spoken)}
	k.config = resolve.KeeperConfig{
		HoldEmpty: hold, Max: 5,
		Update: func(e []rpc.Endpoint) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.sets = append(k.sets, addresses(e))
		},
		Changed: func(s resolve.State) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.changes = append(k.changes, fmt.Sprintf("%s %d %s", s.State, s.Endpoints, s.Problem))
		},
	}
	k.run(k.source)
	return k
}

// run follows r until the next run, or the test's end.
func (k *kept) run(r resolve.Resolver) {
	if k.end != nil {
		k.end()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.keeper.Run(ctx, k.config, r)
	}()
	k.end = func() { cancel(); <-ended }
	k.Cleanup(k.end)
	synctest.Wait()
}

func at(addresses ...string) (all []rpc.Endpoint) {
	for _, a := range addresses {
		all = append(all, rpc.Endpoint{Address: a, Name: a})
	}
	return all
}

func addresses(all []rpc.Endpoint) string {
	var text []string
	for _, e := range all {
		text = append(text, e.Address)
	}
	return "[" + strings.Join(text, " ") + "]"
}

func (k *kept) say(endpoints []rpc.Endpoint, err error) {
	k.source <- said{endpoints, err}
	synctest.Wait()
}

func (k *kept) expect(state string, sets ...string) {
	k.Helper()
	if got := k.keeper.State().State; got != state {
		k.Errorf("it is %s, want %s", got, state)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.sets, sets) {
		k.Errorf("sets: %v, want %v", k.sets, sets)
	}
}

var errDown = errors.New("down")

// A source that fails keeps the last good set for ever, and says since when and why; when it is back it is good again.
func TestFailureKeepsTheLastGoodSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Second)
		k.say(nil, errDown)
		k.expect(resolve.Waiting)
		k.say(at("b:1", "a:1"), nil)
		k.expect(resolve.Good, "[a:1 b:1]")
		time.Sleep(time.Minute)
		before := time.Now()
		for range 100 {
			k.say(nil, errDown)
			time.Sleep(time.Hour)
		}
		k.expect(resolve.Stale, "[a:1 b:1]")
		s := k.keeper.State()
		if !s.Since.Equal(before) || !s.Updated.Equal(before.Add(-time.Minute)) || s.Endpoints != 2 || s.Problem != "down" || s.Failures != 101 {
			t.Errorf("state: %+v", s)
		}
		k.say(at("a:1"), nil)
		k.expect(resolve.Good, "[a:1 b:1]", "[a:1]")
		if want := []string{"waiting 0 down", "good 2 ", "stale 2 down", "good 1 "}; !slices.Equal(k.changes, want) {
			t.Errorf("told: %q, want %q", k.changes, want)
		}
	})
}

// An empty answer is believed after the hold, and not before; what the source names before it is over ends the hold.
func TestEmptyAnswerIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, 30*time.Second)
		k.say(at("a:1"), nil)
		k.say(nil, nil)
		time.Sleep(29 * time.Second)
		k.expect(resolve.Stale, "[a:1]")
		k.say(at("a:1"), nil)
		time.Sleep(time.Hour)
		k.expect(resolve.Good, "[a:1]")
		k.say(nil, fmt.Errorf("%w: gone", resolve.ErrNone))
		time.Sleep(29 * time.Second)
		k.say(nil, fmt.Errorf("%w: gone", resolve.ErrNone)) // does not begin the hold anew
		time.Sleep(time.Second - 1)
		k.expect(resolve.Stale, "[a:1]")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		k.expect(resolve.Empty, "[a:1]", "[]")
		k.say(nil, errDown) // nothing is left to be kept
		k.expect(resolve.Empty, "[a:1]", "[]")
		k.say(at("c:1"), nil)
		k.expect(resolve.Good, "[a:1]", "[]", "[c:1]")
	})
}

// What fails after an empty answer does not confirm it: the last good set goes when the source says again that there is none.
func TestFailureDoesNotConfirmAnEmptyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, 30*time.Second)
		k.say(at("a:1"), nil)
		k.say(nil, nil)
		k.say(nil, errDown)
		time.Sleep(time.Hour)
		k.expect(resolve.Stale, "[a:1]")
		k.say(nil, nil)
		k.expect(resolve.Empty, "[a:1]", "[]")
	})
}

// Without a hold an empty answer is believed at once, and so is the first answer of all.
func TestNoHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, 0)
		k.say(at("a:1"), nil)
		k.say(nil, nil)
		k.expect(resolve.Empty, "[a:1]", "[]")
	})
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Hour)
		k.say(nil, nil)
		k.expect(resolve.Empty)
	})
}

// An address that is there twice is one endpoint; the same set again is no news; more than the bound is a failure; what is not understood
// of an answer is told, and the rest is taken.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Hour)
		k.say([]rpc.Endpoint{{Address: "b:1", Weight: 1}, {Address: "a:1"}, {Address: "b:1", Weight: 2}}, nil)
		k.say([]rpc.Endpoint{{Address: "a:1"}, {Address: "b:1", Weight: 1}}, nil)
		k.expect(resolve.Good, "[a:1 b:1]")
		k.say([]rpc.Endpoint{{Address: "a:1"}, {Address: "b:1", Weight: 5}}, nil)
		k.expect(resolve.Good, "[a:1 b:1]", "[a:1 b:1]")
		k.say(at("1", "2", "3", "4", "5", "6"), nil)
		k.expect(resolve.Stale, "[a:1 b:1]", "[a:1 b:1]")
		k.say(at("c:1"), errors.New("key x: odd"))
		k.expect(resolve.Good, "[a:1 b:1]", "[a:1 b:1]", "[c:1]")
		if got := k.keeper.State().Problem; got != "key x: odd" {
			t.Errorf("problem %q", got)
		}
	})
}

// Another source takes over from what is in force, which stays until it has answered, whatever the one before said and holds still.
func TestAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, time.Minute, at("z:1", "a:1")...)
		k.expect(resolve.Waiting, "[a:1 z:1]")
		k.say(nil, nil)
		k.expect(resolve.Stale, "[a:1 z:1]")
		k.source = make(spoken)
		k.run(other{k.source})
		time.Sleep(time.Hour) // the hold of the first is over
		synctest.Wait()
		k.expect(resolve.Waiting, "[a:1 z:1]", "[a:1 z:1]")
		k.say(nil, errDown)
		k.expect(resolve.Stale, "[a:1 z:1]", "[a:1 z:1]")
		k.say(at("z:1"), nil)
		k.expect(resolve.Good, "[a:1 z:1]", "[a:1 z:1]", "[z:1]")
		if s := k.keeper.State(); s.Source != "other" {
			t.Errorf("the source is %q", s.Source)
		}
	})
}

type other struct{ spoken }

func (other) String() string { return "other" }

// A value is an address or JSON; what is neither is told.
func TestParseEntry(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"10.0.0.1:6000", "{10.0.0.1:6000 10.0.0.1:6000 0 false 0 false  }"},
		{" users-1.internal:6000\n", "{users-1.internal:6000 users-1.internal:6000 0 false 0 false  }"},
		{"[fd00::1]:6000", "{[fd00::1]:6000 [fd00::1]:6000 0 false 0 false  }"},
		{"unix:/run/users.sock", "{unix:/run/users.sock unix:/run/users.sock 0 false 0 false  }"},
		{`{"address": "10.0.0.1:6000", "slots": 4, "weight": 2, "zone": "a"}`, "{10.0.0.1:6000 10.0.0.1:6000 4 false 2 false a }"},
		{`{"network": "tcp", "address": "10.0.0.1:8888", "weight": 10, "tags": null}`, "{10.0.0.1:8888 10.0.0.1:8888 0 false 10 false  }"}, // Kitex's
		{`{"address": "10.0.0.1:6000", "weight": 0}`, "{10.0.0.1:6000 10.0.0.1:6000 0 false 0 true  }"},
		{`{"address": "10.0.0.1:6000", "labels": {"version": "v2", "size": "big"}}`, "{10.0.0.1:6000 10.0.0.1:6000 0 false 0 false  size=big,version=v2}"},
		{"", `address "": want host:port or unix:/path`},
		{"10.0.0.1", `address "10.0.0.1": want host:port or unix:/path`},
		{"10.0.0.1:0", `address "10.0.0.1:0": want host:port or unix:/path`},
		{":6000", `address ":6000": want host:port or unix:/path`},
		{"http://10.0.0.1:80", `address "http://10.0.0.1:80": want host:port or unix:/path`},
		{"unix:run", `address "unix:run": the path of a unix socket begins with /`},
		{`{"address": "10.0.0.1:6000", "slots": 70000}`, "slots: 70000 is not within 1 and 65536"},
		{`{"address": "10.0.0.1:6000", "weight": -1}`, "weight: -1 is not within 0 and 1000"},
		{`{"address": "10.0.0.1:6000", "labels": {"size": "very big"}}`, `label size: "very big": ` + rpc.ErrLabel.Error()},
		{`{"address": "10.0.0.1:6000", "labels": {"": "big"}}`, `label "": ` + rpc.ErrLabel.Error()},
		{`{"address": 7}`, "no JSON of an endpoint"},
		{`{"address": "a:1"`, "no JSON of an endpoint"},
	} {
		e, err := resolve.ParseEntry(c.in)
		got := fmt.Sprint(e)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && !(err != nil && strings.HasPrefix(got, c.want+": ")) {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

// The pauses double from half a second to half a minute, each up to a fifth shorter, and begin anew after a success.
func TestBackoff(t *testing.T) {
	var b resolve.Backoff
	for range 2 {
		for i, want := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000} {
			want *= time.Millisecond
			if got := b.Next(); got > want || got < want*4/5 {
				t.Errorf("pause %d is %v, want %v at most", i, got, want)
			}
		}
		b.Reset()
	}
}

// A source with its keeper is what a Go client takes.
func TestKept(t *testing.T) {
	var _ thriftloom.Resolver = resolve.Kept{}
	synctest.Test(t, func(t *testing.T) {
		source, got := make(spoken), make(chan string, 1)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() {
			ended <- resolve.Kept{Source: source, HoldEmpty: time.Hour}.Run(ctx, func(all []rpc.Endpoint) { got <- addresses(all) })
		}()
		for _, x := range []said{{at("b:1", "a:1"), nil}, {nil, errDown}, {nil, nil}, {at("c:1"), nil}} {
			source <- x
		}
		if first, second := <-got, <-got; first != "[a:1 b:1]" || second != "[c:1]" {
			t.Errorf("%s, then %s", first, second)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
