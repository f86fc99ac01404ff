package mirror

import (
	"context"
	"sync"

	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/wire"
)

// maxHeldBytes bounds the bodies that copies of one room hold: two of the longest messages that Thrift allows by default.
const maxHeldBytes = 32 << 20

// Room is where copies are under way: it bounds them, and ends them. Make one with NewRoom; safe for concurrent use.
type Room struct {
	life context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	copies int
	held   int64 // bytes
	closed bool
	under  sync.WaitGroup

	comparing sync.Mutex // one comparison at a time: they take no more than one processor from callers
}

// NewRoom returns a room without copies.
func NewRoom() *Room {
	r := &Room{}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Close ends the copies that are under way, waits for them, and lets in no others.
func (r *Room) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.under.Wait()
}

// InFlight returns how many copies are under way.
func (r *Room) InFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.copies
}

// enter takes a copy in that holds so many bytes, unless there are most already or it holds too much.
func (r *Room) enter(most int, bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.copies >= most || r.held+bytes > maxHeldBytes {
		return false
	}
	r.copies++
	r.held += bytes
	r.under.Add(1)
	return true
}

// keep takes in bytes more of a copy that has entered.
func (r *Room) keep(bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held+bytes > maxHeldBytes {
		return false
	}
	r.held += bytes
	return true
}

func (r *Room) leave(bytes int64) {
	r.mu.Lock()
	r.copies--
	r.held -= bytes
	r.mu.Unlock()
	r.under.Done()
}

func (r *Room) compare(d *Diff, p wire.Protocol, main, copied *rpc.Reply) Difference {
	r.comparing.Lock()
	defer r.comparing.Unlock()
	return d.Compare(p, main, copied)
}
