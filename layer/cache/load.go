package cache

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// The times of a load.
const (
	term     = 2 * time.Second      // of a lease, which is extended while the load goes on: others take over from a gateway that has died after that
	firstAsk = 2 * time.Millisecond // after which it is looked whether another gateway's load has come to something; twice as long each time
	lastAsk  = 8 * time.Millisecond // … up to that
	unheard  = time.Second          // how long a reply is kept in this process where nobody tells what changes
	longest  = time.Minute          // bounds a load where the method's timeout does not
)

// load is one load: it goes on to its end, by a time of its own, whatever becomes of those who wait.
type load struct {
	*method
	flight *flight
	call   *rpc.Call // its own copy
	names  names
	groups []ID
	old    *Entry // that is answered with where no other can be had; nil: none
	mark   uint64 // of the journal, when it began to find out
	guard  *guard // nil: there is no store, or it does not answer
	lease  Lease
	landed bool
}

// fly loads a reply for a flight, out of the store or from the upstream.
func (m *method) fly(ctx context.Context, f *flight, call *rpc.Call, n names, groups []ID, old *Entry) {
	own := *call
	own.Deadline = time.Now().Add(longest)
	if m.place.Timeout > 0 {
		own.Deadline = time.Now().Add(m.place.Timeout)
	}
	l := &load{method: m, flight: f, call: &own, names: n, groups: groups, old: old, mark: f.mark}
	defer func() {
		if p := recover(); p != nil {
			l.failed(ctx, &rpc.Error{
				Code: rpc.Internal, Reach: rpc.Unknown, Op: call.Service + "." + call.Name, Text: "the call ended unexpectedly", Err: fmt.Errorf("panic: %v", p),
			}, true)
		}
	}()
	if m.keeps() {
		if l.guard = m.state.store(m.Store); l.guard != nil && l.stored(ctx) {
			return
		}
	}
	l.run(ctx)
}

// land ends the flight, once.
func (l *load) land(with landed) {
	if !l.landed {
		l.landed = true
		l.state.flights.land(l.names.reply, l.flight, with)
	}
}

// run makes the call.
func (l *load) run(ctx context.Context) {
	l.counts.loads.Add(1)
	began := time.Now()
	stop := l.extend(ctx)
	defer stop()
	reply, err := l.next.Handle(ctx, l.call)
	if err != nil {
		l.failed(ctx, rpc.AsError(err, l.call.Service), false)
		return
	}
	e := l.entry(reply, began)
	if e.storedFor() > 0 {
		l.state.keep(l.names.reply, e)
	}
	l.land(landed{entry: e, how: rpc.CacheMiss})
	l.put(ctx, e)
}

// entry makes what is kept of a reply.
func (l *load) entry(reply *rpc.Reply, began time.Time) *Entry {
	e := &Entry{Reply: &rpc.Reply{Protocol: reply.Protocol, Body: reply.Body, Exception: reply.Exception}, Loaded: time.Now(), Versions: l.lease.Versions}
	e.Took = e.Loaded.Sub(began)
	life := l.life(reply)
	if life == 0 || len(reply.Body) > l.MaxReplyBytes {
		return e
	}
	e.Reply.Body = bytes.Clone(reply.Body) // the rest of what it was read with is not held
	if reply.Memory != nil {
		reply.Memory.Release()
	}
	e.Fresh = shorten(life, l.state.random())
	if reply.Exception == 0 {
		e.Stale, e.OnError = l.StaleWhileRevalidate, l.StaleIfError
	}
	l.own(e)
	return e
}

// own makes an entry, of this load or out of the store, one of this process.
func (l *load) own(e *Entry) {
	e.Groups, e.came, e.mark, e.counts, e.store = l.groups, time.Now(), l.mark, l.counts, l.guard
	if l.RefreshAhead && e.Reply.Exception == 0 {
		e.early = ahead(e.Fresh, e.Took, l.state.random())
	}
	switch {
	case l.Store == near || l.guard == nil && l.state.store(l.Store) == nil:
	case l.guard == nil: // the store is away: other gateways cannot be heard
		e.kept = unheard
	case l.NearTTL != Whole:
		e.kept, e.far = l.NearTTL, l.NearTTL == 0
	case !l.guard.store.Tracks():
		e.kept = unheard
	}
}

// stored brings the reply out of the store, or else the lease to load it. done says that nothing is left to be loaded.
func (l *load) stored(ctx context.Context) (done bool) {
	for ask := firstAsk; ; ask = min(2*ask, lastAsk) {
		if l.guard.owes(l.names.reply, l.groups) {
			l.guard = nil
			return false
		}
		if l.look(ctx) {
			return true
		}
		if l.guard == nil || !l.acquire(ctx) {
			return false
		}
		if l.lease.Token != 0 { // another may have given its lease back between the look and that, and left the reply
			if l.look(ctx) {
				l.release(ctx)
				return true
			}
			return false
		}
		if l.busy(ctx) {
			return true
		}
		time.Sleep(min(ask, time.Until(l.call.Deadline)))
	}
}

// look answers with what is in the store as far as that is good for it; done says that nothing is to be loaded. Where the store does not answer
// there is no guard any more.
func (l *load) look(ctx context.Context) (done bool) {
	mark := l.state.journal.mark()
	var got Stored
	err := l.guard.do(ctx, func(ctx context.Context) (err error) {
		got, err = l.guard.store.Get(ctx, l.names.reply, l.groups)
		return err
	})
	if err != nil {
		l.guard, l.lease = nil, Lease{}
		return false
	}
	l.mark = mark
	e := l.read(got)
	return e != nil && l.take(e)
}

// acquire asks for the lease, which another may have; ok is false, and there is no guard any more, where the store does not answer.
func (l *load) acquire(ctx context.Context) (ok bool) {
	mark := l.state.journal.mark()
	err := l.guard.do(ctx, func(ctx context.Context) (err error) {
		l.lease, err = l.guard.store.Acquire(ctx, l.names.reply, l.groups, term)
		return err
	})
	if err != nil {
		l.guard = nil
		return false
	}
	l.mark = mark
	return true
}

// read returns the entry that is stored, if it holds.
func (l *load) read(got Stored) *Entry {
	if got.Value == nil {
		return nil
	}
	e, err := decode(got.Value, time.Now())
	if err != nil || len(e.Versions) != len(l.groups) || len(got.Versions) != len(l.groups) {
		return nil
	}
	for i, v := range got.Versions {
		if v == 0 || v != e.Versions[i] {
			return nil
		}
	}
	l.own(e)
	return e
}

// take answers with an entry out of the store as far as it is good for that; done says that it is not to be loaded anew.
func (l *load) take(e *Entry) (done bool) {
	switch e.at(time.Now()) {
	case young:
		done = true
	case early, stale:
	case last:
		l.old = e
		return false
	default:
		return false
	}
	l.state.keep(l.names.reply, e)
	how := rpc.CacheStored
	if !done {
		l.old = e
		if e.at(time.Now()) == stale {
			how = rpc.CacheStale
		}
	}
	l.land(landed{entry: e, how: how})
	return done
}

// busy says whether there is nothing to wait for while another gateway loads: the old reply is an answer, or the time is over.
func (l *load) busy(ctx context.Context) bool {
	now := time.Now()
	if l.oldAt(now) <= stale {
		l.old.pause.begin(now)
		l.land(landed{entry: l.old, how: rpc.CacheStale})
		return true
	}
	if l.call.Deadline.After(now) {
		return false
	}
	l.failed(ctx, &rpc.Error{
		Code: rpc.DeadlineExceeded, Reach: rpc.NotSent, Op: l.call.Service + "." + l.call.Name, Text: "another gateway has loaded the reply for too long",
	}, false)
	return true
}

// oldAt is what the old reply is good for: nothing where there is none, or it was made void meanwhile.
func (l *load) oldAt(now time.Time) age {
	if l.old == nil || !l.state.holds(l.old, l.names.reply) {
		return gone
	}
	return l.old.at(now)
}

// failed ends a load without a reply: with the old one where that is an answer still. own says that the failure is nothing to other callers.
func (l *load) failed(ctx context.Context, e *rpc.Error, own bool) {
	l.counts.failures.Add(1)
	l.release(ctx)
	now := time.Now()
	if l.oldAt(now) != gone && (e.Reach != rpc.Answered || e.Code == rpc.Internal) {
		l.old.pause.begin(now)
		l.land(landed{entry: l.old, how: rpc.CacheOnError})
		return
	}
	// What was refused before an attempt may be by a limit or a breaker of that one caller.
	l.land(landed{err: e, own: own || e.Outcome == 0 && e.Reach == rpc.NotSent && e.Code != rpc.DeadlineExceeded})
}

// put gives the store what was loaded. Where that is not taken in, somebody may have made it void.
func (l *load) put(ctx context.Context, e *Entry) {
	switch {
	case l.lease.Token == 0:
		return
	case e.storedFor() <= 0:
		l.release(ctx)
		return
	}
	var kept bool
	err := l.guard.do(ctx, func(ctx context.Context) (err error) {
		kept, err = l.guard.store.Put(ctx, l.names.reply, l.lease, e.encode(), e.storedFor())
		return err
	})
	if err != nil || !kept {
		l.state.Void([]ID{l.names.reply})
	}
}

// release ends the lease.
func (l *load) release(ctx context.Context) {
	if l.lease.Token == 0 {
		return
	}
	lease := l.lease
	l.lease = Lease{}
	_ = l.guard.do(ctx, func(ctx context.Context) error { return l.guard.store.Release(ctx, l.names.reply, lease) })
}

// extend makes the lease last until stop.
func (l *load) extend(ctx context.Context) (stop func()) {
	if l.lease.Token == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	lease, g := l.lease, l.guard
	var again func()
	again = func() {
		if ctx.Err() != nil {
			return
		}
		_ = g.do(ctx, func(ctx context.Context) error { return g.store.Extend(ctx, l.names.reply, lease, term) })
		time.AfterFunc(term/3, again)
	}
	timer := time.AfterFunc(term/3, again)
	return func() { cancel(); timer.Stop() }
}
