package lease

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/cluster/view"
)

// teller is an upstream that has as many calls as it is told, at the address "a".
type teller struct {
	mu      sync.Mutex
	calls   int
	others  map[string]int
	sharers int
	busy    func()
}

func (c *teller) Calls(buf []view.Calls) ([]view.Calls, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(buf, view.Calls{Address: "a", Calls: c.calls}, view.Calls{Address: "b"}), false
}

func (c *teller) SetOthers(others []view.Calls, sharers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sharers = sharers
	for _, o := range others {
		c.others[o.Address] = o.Calls
	}
}

func (c *teller) call(n int) {
	c.mu.Lock()
	c.calls = n
	c.mu.Unlock()
	c.busy()
}

func (c *teller) sees() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d of %d", c.others["a"], c.sharers)
}

// tellers are running gateways that tell each other the calls of one upstream.
func tellers(t *testing.T, all []string) (runs []*member, ups []*teller) {
	for i := range all {
		m := run(t, i, all, "a key of the test")
		up := &teller{others: map[string]int{}, busy: m.Busy}
		m.View("Users", up)
		runs, ups = append(runs, m), append(ups, up)
	}
	eventually(t, "all live", func() bool {
		return !slices.ContainsFunc(ups, func(c *teller) bool { return c.sees() != fmt.Sprint("0 of ", len(all)) })
	})
	return runs, ups
}

// Gateways see over UDP how many calls the others have. Who ends is forgotten, who is killed too; with no call left nobody says anything more.
func TestViewOverUDP(t *testing.T) {
	all := addresses(t, 3)
	runs, ups := tellers(t, all)
	for i, up := range ups {
		up.call(1 << i)
	}
	see := func(what string, want ...string) {
		t.Helper()
		for i, want := range want {
			eventually(t, fmt.Sprintf("%s: gateway %d sees %s", what, i, want), func() bool { return want == "" || ups[i].sees() == want })
		}
	}
	see("all have calls", "6 of 3", "5 of 3", "3 of 3")
	if s := runs[0].Snapshot(); len(s.Heard) != 3 || s.Heard[0].Age >= 0 || s.Heard[1].Age < 0 || s.Heard[1].Calls != 2 || s.Heard[2].Taken == 0 {
		t.Errorf("%+v", s.Heard)
	}
	ups[1].call(0)
	see("one has none", "4 of 3", "5 of 3", "1 of 3")
	runs[2].end()
	see("one has ended", "0 of 2", "1 of 2", "0 of 1")
	_ = runs[0].socket.Close() // as if it was killed
	see("one was killed", "", "0 of 1")
	ups[0].call(0)
	eventually(t, "nobody looks any more", func() bool { return !runs[1].looks.Load() })
	runs[1].View("Users", nil)
	if s := runs[1].Snapshot(); s.Heard != nil {
		t.Errorf("of nothing: %+v", s.Heard)
	}
}

// What a gateway has said of its calls is of no use to anybody who says it again: neither at once nor later, nor to the next run of either.
func TestReplayedWords(t *testing.T) {
	all := addresses(t, 2)
	runs, ups := tellers(t, all)
	ups[1].call(3)
	eventually(t, "it is seen", func() bool { return ups[0].sees() == "3 of 2" })
	runs[1].Runner.mu.Lock()
	inc, number := runs[1].node.inc, uint64(time.Since(runs[1].node.start))
	from := runs[0].at[0]
	runs[1].Runner.mu.Unlock()
	say := func(inc, number uint64) {
		m := view.Message{From: inc, Number: number, Words: []view.Word{{ID: view.IDOf("Users", "b"), Calls: 9}}}
		runs[0].receive(Seal([]byte("a key of the test"), m.Append(nil)), from)
	}
	dropped := func() map[string]int64 { return runs[0].Snapshot().Dropped }
	ups[1].call(0)
	eventually(t, "its last word has come", func() bool { return ups[0].sees() == "0 of 2" })
	before := dropped()["late"]
	eventually(t, "a while has passed", func() bool {
		runs[0].Runner.mu.Lock()
		defer runs[0].Runner.mu.Unlock()
		_, last := runs[0].node.Run(0)
		return last > uint64(view.DefaultTimes().Expiry)+1
	})
	say(inc, 1)        // of long ago, about an endpoint of which nothing was said since
	say(inc+2, number) // of another run
	if got := dropped()["late"] - before; got < 2 {
		t.Errorf("%d were dropped", got)
	}
	ups[0].mu.Lock()
	if ups[0].others["b"] != 0 {
		t.Error("an old word was believed")
	}
	ups[0].mu.Unlock()
	runs[0].receive(Seal([]byte("a key of the test"), []byte("TLV\x01 no message")), from)
	runs[0].receive(Seal([]byte("another key"), (&view.Message{From: inc, Number: number}).Append(nil)), from)
	if d := dropped(); d["form"] != 1 || d["seal"] != 1 {
		t.Errorf("%v", d)
	}
}

// A gateway that has no call, and of which nobody else has one, does nothing for the view: it does not look.
func TestIdleViewSleeps(t *testing.T) {
	r := Later(Config{Name: "gw", Listen: addresses(t, 1)[0]}, silent)
	looked := make(chan struct{}, 1000)
	up := &looker{looked: looked}
	r.View("Users", up)
	<-looked // at what there is, to know it
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	defer func() { // once the lock is free
		cancel()
		<-done
	}()
	<-looked
	<-looked // once more, for what came meanwhile
	eventually(t, "it sleeps", func() bool { return !r.looks.Load() })
	r.Busy()
	<-looked
	<-looked
	eventually(t, "it sleeps again", func() bool { return !r.looks.Load() })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(looked) != 0 || r.sent != 0 {
		t.Errorf("it looked %d times more, and sent %d datagrams", len(looked), r.sent)
	}
}

type looker struct{ looked chan struct{} }

func (l *looker) Calls(buf []view.Calls) ([]view.Calls, bool) {
	l.looked <- struct{}{}
	return append(buf, view.Calls{Address: "a"}), false
}

func (l *looker) SetOthers([]view.Calls, int) {}
