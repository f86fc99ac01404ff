package mirror

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// answers is an upstream that answers after a while, unless ctx or the deadline end that.
type answers struct {
	after time.Duration
	reply *rpc.Reply
	err   error

	calls   atomic.Int64
	working atomic.Int64
	most    atomic.Int64 // at one time
	last    atomic.Pointer[rpc.Call]
}

func (a *answers) Handle(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
	a.calls.Add(1)
	for now := a.working.Add(1); ; {
		if was := a.most.Load(); now <= was || a.most.CompareAndSwap(was, now) {
			break
		}
	}
	defer a.working.Add(-1)
	a.last.Store(call)
	left, ok := call.Remaining(time.Now())
	if !ok || left > a.after {
		left = a.after
	}
	select {
	case <-time.After(left):
	case <-ctx.Done():
		return nil, &rpc.Error{Code: rpc.Cancelled, Reach: rpc.Unknown}
	}
	if left < a.after {
		return nil, &rpc.Error{Code: rpc.DeadlineExceeded, Reach: rpc.Unknown}
	}
	return a.reply, a.err
}

// over puts the layer with that policy before main; the room is closed with the bubble.
func over(t *testing.T, p Policy, main rpc.Handler) (h rpc.Handler, counts *Counts) {
	counts = &Counts{}
	p.Room, p.Counts = NewRoom(), counts
	t.Cleanup(p.Room.Close)
	if p.MaxInFlight == 0 {
		p.MaxInFlight = 64
	}
	return Layer(rpc.PerMethod[Policy]{Other: p}).Wrap(main), counts
}

func newCall(m *schema.Method) *rpc.Call {
	return &rpc.Call{ID: rpc.NewID(), Service: "Users", Name: m.Name, Method: m, Oneway: m.Oneway, Protocol: wire.Binary, Body: []byte{0}, Deadline: time.Now().Add(time.Minute)}
}

// expect compares the counts with "same 2 differ 1".
func expect(t *testing.T, c *Counts, want string) {
	t.Helper()
	synctest.Wait()
	var got []string
	r := c.Report()
	for _, result := range Results {
		if n := r.Results[result]; n > 0 {
			got = append(got, string(result)+" "+string(rune('0'+n)))
		}
	}
	if strings.Join(got, " ") != want {
		t.Errorf("the results are %q, want %q", strings.Join(got, " "), want)
	}
}

// The caller gets its own reply when that is there, however slow the mirror is, whether it fails, and however the replies differ. The counts
// say what became of the copies, and where replies differed.
func TestCallersNeverNotice(t *testing.T) {
	get := users.Method("get")
	good := reply(t, get, wire.Binary, `{"success": {"id": 1, "name": "Ada"}}`)
	other := reply(t, get, wire.Binary, `{"success": {"id": 1, "name": "ada"}}`)
	broken := &rpc.Error{Code: rpc.Unavailable, Reach: rpc.NotSent}
	for _, tt := range []struct {
		name         string
		main, mirror *answers
		diff         bool
		want         string
	}{
		{name: "same", main: &answers{reply: good}, mirror: &answers{reply: good}, diff: true, want: "same 1"},
		{name: "a slow mirror", main: &answers{reply: good}, mirror: &answers{after: 10 * time.Second, reply: good}, diff: true, want: "same 1"},
		{name: "a slow main upstream", main: &answers{after: 10 * time.Second, reply: good}, mirror: &answers{reply: good}, diff: true, want: "same 1"},
		{name: "differ", main: &answers{reply: good}, mirror: &answers{reply: other}, diff: true, want: "differ 1"},
		{name: "a mirror that fails", main: &answers{reply: good}, mirror: &answers{err: broken}, diff: true, want: "mirror_failed 1"},
		{name: "a mirror that never answers", main: &answers{reply: good}, mirror: &answers{after: time.Hour}, diff: true, want: "mirror_failed 1"},
		{name: "a main upstream that fails", main: &answers{err: broken}, mirror: &answers{reply: good}, diff: true, want: "main_failed 1"},
		{name: "not compared", main: &answers{reply: good}, mirror: &answers{reply: other}, want: "answered 1"},
		{name: "not compared, failed", main: &answers{err: broken}, mirror: &answers{err: broken}, want: "mirror_failed 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := Policy{To: tt.mirror, Percent: 100}
				if tt.diff {
					p.Diff = NewDiff(get, nil)
				}
				h, counts := over(t, p, tt.main)
				start := time.Now()
				got, err := h.Handle(t.Context(), newCall(get))
				if took := time.Since(start); took != tt.main.after || got != tt.main.reply || !errors.Is(err, tt.main.err) {
					t.Errorf("the caller got %v, %v after %v", got, err, took)
				}
				time.Sleep(2 * time.Minute)
				expect(t, counts, tt.want)
			})
		})
	}
}

// A copy has no record and a time of its own; of the call itself nothing is changed.
func TestCopyIsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var main, mirror answers
		main.reply, mirror.reply = &rpc.Reply{}, &rpc.Reply{}
		h, _ := over(t, Policy{To: &mirror, Percent: 100, Timeout: time.Second}, &main)
		record, call := &rpc.Record{}, newCall(users.Method("get"))
		record.Begin(call, nil)
		before := *call
		_, _ = h.Handle(t.Context(), call)
		synctest.Wait()
		c := mirror.last.Load()
		if c.Record != nil || c.Deadline.Sub(c.Start) != time.Second || !c.Start.Equal(time.Now()) || c.Name != "get" || string(c.Body) != "\x00" {
			t.Errorf("the copy is %+v", c)
		}
		if main.last.Load() != call || call.Record != before.Record || call.Deadline != before.Deadline || len(record.Attempts()) != 0 {
			t.Error("the call itself was changed")
		}
	})
}

// No more copies are under way than may be; what is beyond is dropped and counted, at once, and does not wait.
func TestCopiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, mirror := answers{reply: &rpc.Reply{}}, answers{after: 10 * time.Second, reply: &rpc.Reply{}}
		h, counts := over(t, Policy{To: &mirror, Percent: 100, MaxInFlight: 3}, &main)
		for range 2 {
			for range 5 {
				_, _ = h.Handle(t.Context(), newCall(users.Method("get")))
			}
			time.Sleep(11 * time.Second)
		}
		expect(t, counts, "answered 6 dropped 4")
		if main.calls.Load() != 10 || mirror.calls.Load() != 6 || mirror.most.Load() != 3 {
			t.Errorf("%d calls, %d copies, %d of them at one time", main.calls.Load(), mirror.calls.Load(), mirror.most.Load())
		}
	})
}

// The bodies that copies hold are bounded too, requests and replies.
func TestHeldBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := users.Method("get")
		main, mirror := answers{reply: &rpc.Reply{}}, answers{after: 10 * time.Second, reply: &rpc.Reply{}}
		h, counts := over(t, Policy{To: &mirror, Percent: 100}, &main)
		long := newCall(get)
		long.Body = make([]byte, maxHeldBytes/2)
		for range 3 {
			_, _ = h.Handle(t.Context(), long)
		}
		time.Sleep(time.Minute)
		long.Deadline = time.Now().Add(time.Minute)
		_, _ = h.Handle(t.Context(), long)
		time.Sleep(time.Minute)
		expect(t, counts, "answered 3 dropped 1")

		main.reply = &rpc.Reply{Body: make([]byte, maxHeldBytes/2+1)} // of two replies one is kept
		h, counts = over(t, Policy{To: &mirror, Percent: 100, Diff: NewDiff(get, nil)}, &main)
		for range 2 {
			_, _ = h.Handle(t.Context(), newCall(get))
		}
		time.Sleep(time.Minute)
		r := counts.Report().Results
		if r[Answered] != 1 || len(r) != 2 {
			t.Errorf("%v", r)
		}
	})
}

// memory is counted until it is released.
type memory struct{ released atomic.Int64 }

func (m *memory) Release() { m.released.Add(1) }

// What the mirror's reply takes is given back, so that it is in no caller's way; the caller's own reply is left alone.
func TestMemoryIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := users.Method("get")
		ours, theirs := new(memory), new(memory)
		main, mirror := answers{after: time.Second, reply: &rpc.Reply{Body: []byte{0}, Memory: ours}}, answers{reply: &rpc.Reply{Body: []byte{0}, Memory: theirs}}
		h, counts := over(t, Policy{To: &mirror, Percent: 100, Diff: NewDiff(get, nil)}, &main)
		_, _ = h.Handle(t.Context(), newCall(get))
		expect(t, counts, "same 1")
		if ours.released.Load() != 0 || theirs.released.Load() != 1 {
			t.Errorf("released %d and %d times", ours.released.Load(), theirs.released.Load())
		}
	})
}

// A room that closes ends the copies under way, waits for them, and lets no other in; calls go on.
func TestRoomCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, mirror := answers{reply: &rpc.Reply{}}, answers{after: 30 * time.Second, reply: &rpc.Reply{}}
		room, counts := NewRoom(), &Counts{}
		h := Layer(rpc.PerMethod[Policy]{Other: Policy{To: &mirror, Percent: 100, MaxInFlight: 64, Room: room, Counts: counts}}).Wrap(&main)
		_, _ = h.Handle(t.Context(), newCall(users.Method("get")))
		if room.InFlight() != 1 {
			t.Errorf("%d copies are under way", room.InFlight())
		}
		room.Close()
		if room.InFlight() != 0 || mirror.working.Load() != 0 {
			t.Errorf("%d copies are under way after the close", room.InFlight())
		}
		if r, err := h.Handle(t.Context(), newCall(users.Method("get"))); r == nil || err != nil {
			t.Errorf("a call after the close: %v, %v", r, err)
		}
		expect(t, counts, "mirror_failed 1 dropped 1")
	})
}

// A share of the calls is copied; a oneway is, and is never compared.
func TestShareAndOneway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, mirror := answers{reply: &rpc.Reply{}}, answers{reply: &rpc.Reply{}}
		h, _ := over(t, Policy{To: &mirror, Percent: 10}, &main)
		for range 5000 {
			_, _ = h.Handle(t.Context(), newCall(users.Method("get")))
			synctest.Wait()
		}
		if n := mirror.calls.Load(); n < 350 || n > 650 {
			t.Errorf("%d of 5000 calls were copied at 10 %%", n)
		}
		note := users.Method("note")
		h, counts := over(t, Policy{To: &mirror, Percent: 100, Diff: NewDiff(note, nil)}, &main)
		_, _ = h.Handle(t.Context(), newCall(note))
		expect(t, counts, "answered 1")
	})
}

// A panic below does not leave a copy behind.
func TestPanicLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get, mirror := users.Method("get"), answers{reply: &rpc.Reply{}}
		h, counts := over(t, Policy{To: &mirror, Percent: 100, Diff: NewDiff(get, nil)}, rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			panic("on purpose")
		}))
		func() {
			defer func() { _ = recover() }()
			_, _ = h.Handle(t.Context(), newCall(get))
		}()
		expect(t, counts, "main_failed 1")
	})
}

// Where no method is mirrored the layer is not there, and a call of one that is not allocates nothing.
func TestNoMirror(t *testing.T) {
	next := rpc.Handler(&answers{})
	if Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, 2)}).Wrap(next) != next {
		t.Error("a layer without mirrors stands in the way")
	}
	get, main := users.Method("get"), rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, nil })
	h := Layer(rpc.PerMethod[Policy]{Methods: make([]Policy, len(users.Methods)), Other: Policy{To: next, Percent: 100}}).Wrap(main)
	call := newCall(get)
	if n := testing.AllocsPerRun(100, func() { _, _ = h.Handle(context.Background(), call) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
