package netiotest

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/thriftloom/thriftloom/netio"
)

// writing is how bytes go out.
var writing = map[string]func(*rig){
	"PiecesGoOutInOrder":                   piecesInOrder,
	"WhatACallbackSendsIsWrittenAtItsEnd":  oneFlushATurn,
	"ConcurrentSendsAreNotTornApart":       concurrentSends,
	"ALongBodyArrivesWholeBehindASlowPeer": longBody,
	"APeerThatDoesNotReadIsClosed":         backlog,
	"WrittenCountsWhatIsTaken":             written,
}

// Head, body, head, body: in this order, empty pieces left out.
func piecesInOrder(r *rig) {
	c, peer := r.start(netio.Options{}, &recorder{})
	want := ""
	for i := range 1000 {
		head, body := fmt.Sprintf("head %d ", i), strings.Repeat("b", i%5)
		want += head + body
		if err := c.Send([]byte(head), []byte(body)); err != nil {
			r.Fatal(err)
		}
	}
	if got := r.read(peer, len(want)); got != want {
		r.Error("other bytes went out than were sent")
	}
}

// Nothing is written while the callback runs; all of it is once it has returned.
func oneFlushATurn(r *rig) {
	var rec *recorder
	rec = &recorder{onReceive: func(buf []byte) (int, int) {
		for i := range 100 {
			if err := rec.conn.Send(fmt.Appendf(nil, "head %02d ", i), []byte("body ")); err != nil {
				r.Error(err)
			}
		}
		if n := rec.conn.Written(); n != 0 {
			r.Errorf("%d bytes were written inside the callback", n)
		}
		return len(buf), 0
	}}
	_, peer := r.start(netio.Options{}, rec)
	r.write(peer, []byte("go"))
	r.read(peer, 1300)
}

// Sends of many goroutines do not mix, and those of one goroutine stay in order.
func concurrentSends(r *rig) {
	const senders, each = 8, 200
	c, peer := r.start(netio.Options{}, &recorder{})
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				head := binary.BigEndian.AppendUint32([]byte{byte(s)}, uint32(i))
				if err := c.Send(head, make([]byte, 1000)); err != nil {
					r.Error(err)
				}
			}
		})
	}
	next := [senders]uint32{}
	for range senders * each {
		piece := r.read(peer, 1005)
		s, i := piece[0], binary.BigEndian.Uint32([]byte(piece[1:5]))
		if int(s) >= senders || i != next[s] || strings.Trim(piece[5:], "\x00") != "" {
			r.Fatalf("sender %d: piece %d, want %d", s, i, next[s])
		}
		next[s]++
	}
	all.Wait()
}

// What the kernel does not take at once is written in the background, with what is sent meanwhile behind it.
func longBody(r *rig) {
	c, peer := r.start(netio.Options{}, &recorder{})
	body := pattern(10 << 20)
	_ = c.Send([]byte("head"), body)
	_ = c.Send([]byte("tail"), nil)
	c.Finish()
	if err := c.Send([]byte("x"), nil); err != netio.ErrClosed {
		r.Errorf("Send after Finish: %v", err)
	}
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != "head"+string(body)+"tail" {
		r.Errorf("the peer read %d bytes, %v", len(got), err)
	}
}

// Past MaxQueuedBytes Send says so, and the connection is closed.
func backlog(r *rig) {
	rec := &recorder{}
	c, _ := r.start(netio.Options{MaxQueuedBytes: 1 << 20}, rec)
	piece := make([]byte, 64<<10)
	for i := range 4096 { // 256 MiB: more than any socket's buffer
		if err := c.Send(nil, piece); err != nil {
			if err != netio.ErrBacklog || i < 16 {
				r.Errorf("Send %d: %v", i, err)
			}
			rec.waitClosed(r, is(netio.ErrBacklog))
			return
		}
	}
	r.Error("no bound was met")
}

// Once the peer has a byte it is counted, and all are in the end.
func written(r *rig) {
	rec := &recorder{}
	c, peer := r.start(netio.Options{}, rec)
	if n := c.Written(); n != 0 {
		r.Errorf("%d bytes written on a new connection", n)
	}
	_ = c.Send([]byte("head"), make([]byte, 4<<20))
	r.read(peer, 1<<20)
	if n := c.Written(); n < 1<<20 {
		r.Errorf("%d bytes written, and the peer has 1 MiB", n)
	}
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	c.Finish()
	rec.waitClosed(r, is(nil))
	if n := c.Written(); n != 4<<20+4 {
		r.Errorf("%d bytes written of %d", n, 4<<20+4)
	}
}
