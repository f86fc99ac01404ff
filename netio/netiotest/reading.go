package netiotest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"runtime"
	"time"

	"github.com/thriftloom/thriftloom/netio"
)

// reading is how bytes come in.
var reading = map[string]func(*rig){
	"BytesComeInOrderHoweverTheyAreCut":          inOrder,
	"WhatIsUnusedStaysContiguous":                contiguous,
	"ALongMessageCostsAtMostASmallMultiple":      longMessage,
	"NeedHoldsCallsBackUntilItIsMet":             needHoldsBack,
	"OneMessageACallIsEnough":                    oneMessageACall,
	"AHostileNeedAllocatesNothing":               hostileNeed,
	"BytesThatAreNoMessageAreBounded":            bufferBound,
	"PauseStopsReadingAndResumeGoesOn":           pauseStops,
	"ResumeDeliversWhatWasNotUsed":               resumeDelivers,
	"AnEndThatComesWhilePausedIsToldAfterResume": endWhilePaused,
}

// pattern returns n bytes in which a byte that is lost, doubled or misplaced shows.
func pattern(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	p := make([]byte, n)
	_, _ = r.Read(p)
	return p
}

// Single bytes, small pieces and large ones arrive as they were sent, and stay what they were.
func inOrder(r *rig) {
	rec := &recorder{}
	_, peer := r.start(netio.Options{}, rec)
	all := pattern(300_000)
	go func() {
		left := all
		for i := 0; len(left) > 0; i++ {
			n := 1
			if i >= 500 {
				n = min(len(left), 1+i*7%9000)
			}
			if _, err := peer.Write(left[:n]); err != nil {
				r.Errorf("the peer writes: %v", err)
				return
			}
			left = left[n:]
		}
	}()
	if got := rec.wait(r, len(all)); got != string(all) {
		r.Error("other bytes came than were sent")
	}
}

// A message is offered whole, with nothing before it, however it is cut and wherever a chunk ends.
func contiguous(r *rig) {
	const size = 700
	rec := &recorder{onReceive: func(buf []byte) (int, int) {
		if len(buf) < size {
			return 0, 0
		}
		return len(buf) / size * size, size
	}}
	_, peer := r.start(netio.Options{}, rec)
	all := pattern(400 * size)
	go func() {
		for left := all; len(left) > 0; {
			n := min(len(left), 333)
			_, _ = peer.Write(left[:n])
			left = left[n:]
		}
	}()
	if got := rec.wait(r, len(all)); got != string(all) {
		r.Error("other bytes came than were sent")
	}
}

// 10 MB that the receiver wants in one piece arrive in one piece; the memory for it grows with what came.
func longMessage(r *rig) {
	all := pattern(10 << 20)
	rec := &recorder{onReceive: func(buf []byte) (int, int) {
		if len(buf) < len(all) {
			return 0, len(all)
		}
		return len(all), 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	go func() { _, _ = peer.Write(all) }()
	if got := receive(r, rec.bytes, "the message"); !bytes.Equal(got, all) {
		r.Error("other bytes came than were sent")
	}
}

// With need set, a callback comes once that many bytes are there, and not for each that arrives.
func needHoldsBack(r *rig) {
	calls := 0
	rec := &recorder{onReceive: func(buf []byte) (int, int) {
		calls++
		if len(buf) < 1000 {
			return 0, 1000
		}
		return 1000, 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	all := pattern(1000)
	for i := range all {
		r.write(peer, all[i:i+1])
	}
	if got := rec.wait(r, 1000); got != string(all) {
		r.Error("other bytes came than were sent")
	}
	if calls > 2 {
		r.Errorf("%d callbacks, want at most 2: the first and the whole", calls)
	}
}

// A receiver that uses up one message a call is called until nothing is left.
func oneMessageACall(r *rig) {
	rec := &recorder{onReceive: func(buf []byte) (int, int) { return 1, 0 }}
	_, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("abcdefgh"))
	if got := rec.wait(r, 8); got != "abcdefgh" {
		r.Errorf("received %q", got)
	}
}

// A peer that claims a gigabyte and sends ten bytes costs no gigabyte.
func hostileNeed(r *rig) {
	asked := make(chan struct{}, 100)
	rec := &recorder{onReceive: func(buf []byte) (int, int) {
		asked <- struct{}{}
		if len(buf) > 5 {
			return len(buf), 0
		}
		return 0, 1 << 30
	}}
	c, peer := r.start(netio.Options{}, rec)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.write(peer, []byte("01234"))
	receive(r, asked, "a callback")
	_ = c.Send([]byte("x"), nil) // comes back when the connection has gone on
	r.read(peer, 1)
	r.write(peer, []byte("56789"))
	_ = peer.(interface{ CloseWrite() error }).CloseWrite()
	receive(r, rec.ended, "Ended")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		r.Errorf("%d bytes were allocated", n)
	}
}

// Past MaxBufferBytes the connection is closed, whatever need says.
func bufferBound(r *rig) {
	for _, need := range []int{0, 1 << 30} {
		rec := &recorder{onReceive: func([]byte) (int, int) { return 0, need }}
		_, peer := r.start(netio.Options{MaxBufferBytes: 100_000}, rec)
		go func() { _, _ = peer.Write(make([]byte, 1<<20)) }()
		rec.waitClosed(r, is(netio.ErrBufferFull))
	}
}

// A paused connection takes no more than a bounded number of bytes off its peer; nothing is lost.
func pauseStops(r *rig) {
	rec := &recorder{}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("a"))
	rec.wait(r, 1)
	c.Pause()
	all, sent := pattern(64<<20), 0
	for sent < len(all) {
		_ = peer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := peer.Write(all[sent:min(sent+1<<20, len(all))])
		sent += n
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			break
		}
	}
	if sent == len(all) {
		r.Fatal("a paused connection took 64 MiB")
	}
	if n := len(rec.bytes); n > 0 {
		r.Errorf("%d callbacks while paused", n)
	}
	c.Resume()
	if got := rec.wait(r, sent); got != string(all[:sent]) {
		r.Error("other bytes came than were sent")
	}
}

// What a receiver left because it was paused is offered again by Resume, without a new byte from the peer.
func resumeDelivers(r *rig) {
	paused := make(chan struct{}, 1)
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		if len(buf) == 4 {
			rec.conn.Pause()
			paused <- struct{}{}
			return 2, 0
		}
		return len(buf), 0
	}}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("abcd"))
	receive(r, paused, "the pause")
	if got := rec.wait(r, 2); got != "ab" {
		r.Errorf("received %q", got)
	}
	c.Resume()
	if got := rec.wait(r, 2); got != "cd" {
		r.Errorf("received %q after Resume", got)
	}
}

// Ended waits for Resume and comes behind the bytes that came before.
func endWhilePaused(r *rig) {
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		if len(buf) == 2 {
			rec.conn.Pause()
			return 1, 0
		}
		return len(buf), 0
	}, onEnded: func() {
		if len(rec.kept) != 2 {
			r.Errorf("Ended came behind %d of 2 bytes", len(rec.kept))
		}
	}}
	c, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("ab"))
	_ = peer.(interface{ CloseWrite() error }).CloseWrite()
	rec.wait(r, 1)
	c.Resume()
	rec.wait(r, 1)
	receive(r, rec.ended, "Ended")
}
