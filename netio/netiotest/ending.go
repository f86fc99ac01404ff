package netiotest

import (
	"errors"
	"io"
	"net"

	"github.com/thriftloom/thriftloom/netio"
)

// ending is how connections end.
var ending = map[string]func(*rig){
	"AHalfCloseIsEndedAndAnswersStillGoOut":    halfClose,
	"AResetIsClosedWithAnError":                reset,
	"ClosePassesItsCauseOnAndDropsTheQueue":    closeDrops,
	"CloseInsideACallbackIsClosedBehindIt":     closeInside,
	"FinishInsideACallbackWritesFirst":         finishInside,
	"AnAnswerOutlivesBytesThatWereNotRead":     finishUnread,
	"APeerThatStaysIsNotWaitedForForLong":      finishSilent,
	"APeerThatGoesOnIsCutOff":                  finishFlooded,
	"CloseWhileAttaching":                      closeWhileAttaching,
	"DetachHandsOutTheSocketAndTheLeftOver":    detach,
	"DetachIsRefusedWhereItIsNotQuiet":         detachBusy,
	"DetachOfAPausedConnection":                detachPaused,
	"WhatCameBeforeIsDeliveredFirst":           startWithBytes,
	"TheEngineClosesEveryConnectionAtItsEnd":   engineEnds,
	"AConnectionOfAnEndedEngineIsClosedAtOnce": startTooLate,
}

var errCause = errors.New("the test's cause")

func halfClose(r *rig) {
	rec := &recorder{}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ask"))
	_ = peer.(interface{ CloseWrite() error }).CloseWrite()
	if got := rec.wait(r, 3); got != "ask" {
		r.Errorf("received %q", got)
	}
	receive(r, rec.ended, "Ended")
	if err := c.Send([]byte("answer"), nil); err != nil {
		r.Error(err)
	}
	c.Finish()
	if got, err := io.ReadAll(peer); err != nil || string(got) != "answer" {
		r.Errorf("the peer read %q, %v", got, err)
	}
	rec.waitClosed(r, is(nil))
	if len(rec.ended) > 0 {
		r.Error("Ended was called twice")
	}
}

func reset(r *rig) {
	rec := &recorder{}
	_, peer := r.start(netio.Options{}, rec)
	switch peer := peer.(type) {
	case interface{ Reset() }:
		peer.Reset()
	case *net.TCPConn:
		_ = peer.SetLinger(0)
		_ = peer.Close()
	default:
		r.Skip("this network has no resets")
	}
	rec.waitClosed(r, func(err error) bool { return err != nil && err != io.EOF })
	if len(rec.ended) > 0 {
		r.Error("Ended was called for a reset")
	}
}

func closeDrops(r *rig) {
	rec := &recorder{}
	c, peer := r.start(netio.Options{}, rec)
	_ = c.Send(nil, make([]byte, 32<<20))
	c.Close(errCause)
	c.Close(errors.New("another"))
	rec.waitClosed(r, is(errCause))
	if err := c.Send([]byte("x"), nil); err != netio.ErrClosed {
		r.Errorf("Send after Close: %v", err)
	}
	if n, _ := io.Copy(io.Discard, peer); n == 32<<20 {
		r.Error("the whole queue was written")
	}
	c.Finish()
	c.Pause()
	c.Resume()
	if _, _, err := c.Detach(); err != netio.ErrClosed {
		r.Errorf("Detach after Close: %v", err)
	}
}

func closeInside(r *rig) {
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		_ = rec.conn.Send([]byte("never written"), nil)
		rec.conn.Close(errCause)
		if len(rec.closed) > 0 {
			r.Error("Closed was called inside Receive")
		}
		return 1, 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ab"))
	rec.waitClosed(r, is(errCause))
	r.readEnd(peer)
}

func finishInside(r *rig) {
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		_ = rec.conn.Send([]byte("answer"), nil)
		rec.conn.Finish()
		return len(buf), 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ask"))
	if got := r.read(peer, 6); got != "answer" {
		r.Errorf("the peer read %q", got)
	}
	r.readEnd(peer)
	rec.waitClosed(r, is(nil))
}

// A receiver that gives up in the middle of what came can still say why: the answer is not lost to a reset.
func finishUnread(r *rig) {
	answer := pattern(1 << 20)
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		_ = rec.conn.Send(answer, nil)
		rec.conn.Finish()
		return 0, 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	go func() { _, _ = peer.Write(make([]byte, 200_000)) }()
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != string(answer) {
		r.Errorf("the peer read %d bytes, %v", len(got), err)
	}
	_ = peer.Close()
	rec.waitClosed(r, is(nil))
}

// answerUnread starts a connection that answers the first byte that comes, uses none, and finishes.
func answerUnread(r *rig) (*recorder, net.Conn) {
	var rec *recorder
	rec = &recorder{onReceive: func([]byte) (int, int) {
		_ = rec.conn.Send([]byte("answer"), nil)
		rec.conn.Finish()
		return 0, 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ask"))
	if got := r.read(peer, 6); got != "answer" {
		r.Errorf("the peer read %q", got)
	}
	return rec, peer
}

func finishSilent(r *rig) {
	rec, peer := answerUnread(r)
	rec.waitClosed(r, is(nil))
	r.readEnd(peer)
}

func finishFlooded(r *rig) {
	rec, peer := answerUnread(r)
	go func() {
		for block := make([]byte, 64<<10); ; {
			if _, err := peer.Write(block); err != nil {
				return
			}
		}
	}()
	rec.waitClosed(r, is(nil))
}

func closeWhileAttaching(r *rig) {
	own, peer := r.pair(r.T)
	r.peers = append(r.peers, peer)
	rec := &recorder{t: r.T}
	rec.init()
	r.engine.Start(own, netio.Options{}, func(c netio.Conn) netio.Receiver {
		c.Close(errCause)
		return rec
	})
	rec.waitClosed(r, is(errCause))
}

func detach(r *rig) {
	seen := make(chan struct{}, 10)
	rec := &recorder{onReceive: func(buf []byte) (int, int) {
		if len(buf) < 5 {
			return 0, 0
		}
		seen <- struct{}{}
		return 2, 100
	}}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ab"))
	r.write(peer, []byte("cde"))
	receive(r, seen, "the bytes")
	rec.wait(r, 2)
	nc, left := r.detach(c)
	if string(left) != "cde" {
		r.Errorf("left over: %q", left)
	}
	r.write(peer, []byte("more"))
	if got := r.read(nc, 4); got != "more" {
		r.Errorf("read %q from the detached socket", got)
	}
	if _, err := nc.Write([]byte("back")); err != nil {
		r.Error(err)
	}
	if got := r.read(peer, 4); got != "back" {
		r.Errorf("the peer read %q", got)
	}
	if err := c.Send([]byte("x"), nil); err != netio.ErrClosed {
		r.Errorf("Send after Detach: %v", err)
	}
	r.stopEngine()
	if _, err := nc.Write([]byte("still")); err != nil {
		r.Errorf("a detached socket after its engine's end: %v", err)
	}
	_ = nc.Close()
	if len(rec.closed) > 0 {
		r.Error("Closed was called for a detached connection")
	}
}

// detach detaches c as soon as it is quiet: a callback that has just handed its bytes over may still be on its way out.
func (r *rig) detach(c netio.Conn) (net.Conn, []byte) {
	r.Helper()
	for {
		nc, left, err := c.Detach()
		if err == nil {
			return nc, left
		}
		if err != netio.ErrBusy {
			r.Fatalf("Detach: %v", err)
		}
	}
}

func detachBusy(r *rig) {
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		if _, _, err := rec.conn.Detach(); err != netio.ErrBusy {
			r.Errorf("Detach inside a callback: %v", err)
		}
		return len(buf), 0
	}}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("a"))
	rec.wait(r, 1)
	_ = c.Send(nil, make([]byte, 32<<20))
	if _, _, err := c.Detach(); err != netio.ErrBusy {
		r.Errorf("Detach with a queue: %v", err)
	}
}

func detachPaused(r *rig) {
	rec := &recorder{}
	c, peer := r.start(netio.Options{}, rec)
	c.Pause()
	nc, left := r.detach(c)
	r.write(peer, []byte("ab"))
	if got := string(left) + r.read(nc, 2-len(left)); got != "ab" {
		r.Errorf("read %q", got)
	}
	_ = nc.Close()
}

// startWithBytes moves a connection to another receiver, as a handover does: nothing that came is lost or comes twice.
func startWithBytes(r *rig) {
	first := &recorder{onReceive: func(buf []byte) (int, int) { return min(len(buf), 2), 0 }}
	c, peer := r.start(netio.Options{}, first)
	r.write(peer, []byte("ab"))
	first.wait(r, 2)
	c.Pause()
	r.write(peer, []byte("cde"))
	nc, left := r.detach(c)
	next := &recorder{}
	r.engine.Start(nc, netio.Options{Received: left}, func(c netio.Conn) netio.Receiver {
		next.conn, next.t = c, r.T
		next.init()
		return next
	})
	r.write(peer, []byte("fg"))
	if got := next.wait(r, 5); got != "cdefg" {
		r.Errorf("the next receiver was handed %q", got)
	}
	again := &recorder{}
	own, other := r.pair(r.T)
	r.peers = append(r.peers, other)
	r.engine.Start(own, netio.Options{Received: []byte("before")}, func(c netio.Conn) netio.Receiver {
		again.conn, again.t = c, r.T
		again.init()
		return again
	})
	if got := again.wait(r, 6); got != "before" { // though the peer sends nothing
		r.Errorf("delivered %q", got)
	}
}

func engineEnds(r *rig) {
	idle, stuck, paused := &recorder{}, &recorder{}, &recorder{}
	r.start(netio.Options{}, idle)
	c, _ := r.start(netio.Options{}, stuck)
	_ = c.Send(nil, make([]byte, 32<<20))
	p, _ := r.start(netio.Options{}, paused)
	p.Pause()
	r.stopEngine()
	for _, rec := range []*recorder{idle, stuck, paused} {
		if len(rec.closed) == 0 {
			r.Fatal("Run returned before Closed")
		}
		rec.waitClosed(r, is(netio.ErrClosed))
	}
}

func startTooLate(r *rig) {
	r.stopEngine()
	rec := &recorder{}
	_, peer := r.start(netio.Options{}, rec)
	rec.waitClosed(r, is(netio.ErrClosed))
	r.readEnd(peer)
}
