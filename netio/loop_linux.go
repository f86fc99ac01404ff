package netio

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loopEvents = 256      // the most that one look at the kernel's list brings
	loopChunk  = 64 << 10 // what connections share to be read into
	loopOut    = 16 << 10 // what is copied into one piece to be written
	loopAhead  = 16       // connections that may be added in a turn
	loopWait   = 10 * time.Millisecond
	loopTurn   = 256 << 10 // of one connection in a turn: a long message is read on for as long as it comes, in however small pieces
	loopRoom   = 4 << 10   // a chunk with less room is left to those who hold its bytes
)

// loop drives the connections of one epoll descriptor on one goroutine. Turn by turn it reads those that are ready, yields, so that the
// calls that came run as far as they can, and then writes what was sent, once a connection.
type loop struct {
	fd    int
	file  *os.File // the same descriptor, as the runtime waits for it: a loop at rest holds no thread
	raw   syscall.RawConn
	wake  int       // an eventfd
	begin sync.Once // run, with the first connection
	ended chan struct{}

	// The loop's own.
	events [loopEvents]unix.EpollEvent
	ready  int // of events
	look   func(uintptr) bool
	chunk  []byte // what is below its length was read, and is never written again
	lease  *Lease // of chunk
	spare  []*socket
	out    []byte // where short pieces are put together to be written

	mu       sync.Mutex
	sockets  map[int32]*socket // by descriptor
	todo     []*socket         // for the end of the turn: to be written, or looked after
	sleeping bool              // nobody looks at todo before an event comes
	stopping bool
	added    int           // connections in this turn
	turned   chan struct{} // closed when it ends; nil where nobody waits for that
}

func newLoop() (*loop, error) {
	l := &loop{sockets: map[int32]*socket{}, ended: make(chan struct{}), wake: -1}
	var err error
	if l.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err = unix.SetNonblock(l.fd, true); err == nil {
		l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err == nil {
		err = unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, l.wake, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(l.wake)})
	}
	l.file = os.NewFile(uintptr(l.fd), "epoll")
	if err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l.look = func(uintptr) bool { return l.poll() }
	l.out = make([]byte, loopOut)
	return l, nil
}

// release closes the loop's descriptors.
func (l *loop) release() {
	_ = l.file.Close()
	if l.wake >= 0 {
		_ = unix.Close(l.wake)
	}
}

// run is the loop's goroutine.
func (l *loop) run() {
	defer close(l.ended)
	defer l.release()
	for l.await() {
		l.turn()
		for _, event := range l.events[:l.ready] {
			if s := l.socket(event); s != nil {
				s.turn(event.Events)
			}
		}
		runtime.Gosched() // the calls that came run, and what they send is written below, together
		l.settle()
	}
	l.lease.Release()
}

// await waits for events; false when the loop is to end.
func (l *loop) await() bool {
	if l.poll() {
		return true
	}
	l.mu.Lock()
	if l.stopping {
		l.mu.Unlock()
		return false
	}
	l.sleeping = len(l.todo) == 0
	sleep := l.sleeping
	l.mu.Unlock()
	if sleep {
		_ = l.raw.Read(l.look) // fails only once the descriptor is closed, and that is run's last act
		l.mu.Lock()
		l.sleeping = false
		l.mu.Unlock()
	}
	return true
}

// poll takes what is ready, without waiting.
func (l *loop) poll() bool {
	n, errno := rawPoll(l.fd, l.events[:])
	l.ready = max(n, 0)
	return errno == 0 && n > 0
}

// socket returns whom an event is for; nil for the loop's own, and for a connection that is gone.
func (l *loop) socket(event unix.EpollEvent) *socket {
	if int(event.Fd) == l.wake {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sockets[event.Fd]; s != nil && s.number == event.Pad {
		return s
	}
	return nil
}

// settle looks after the connections that asked for it, until none does.
func (l *loop) settle() {
	for {
		l.mu.Lock()
		todo := l.todo
		l.todo, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		for i, s := range todo {
			s.settle()
			todo[i] = nil
		}
		l.spare = todo[:0]
		if len(todo) == 0 {
			return
		}
	}
}

// add makes a connection one of the loop's.
func (l *loop) add(s *socket) {
	l.begin.Do(func() { go l.run() })
	l.admit()
	l.mu.Lock()
	l.sockets[int32(s.fd)] = s
	l.mu.Unlock()
	s.mu.Lock()
	s.attached = true
	s.watch()
	s.mu.Unlock()
	l.later(s)
}

// admit lets loopAhead connections be added in a turn; who adds more waits for the next one, or for loopWait where none comes. Else
// connections that are made and broken at once would take all the time of the others: they are accepted faster than they can be served.
func (l *loop) admit() {
	l.mu.Lock()
	l.added++
	if l.sleeping || l.added <= loopAhead {
		l.mu.Unlock()
		return
	}
	if l.turned == nil {
		l.turned = make(chan struct{})
	}
	turned := l.turned
	l.mu.Unlock()
	select {
	case <-turned:
	case <-time.After(loopWait):
	}
}

// turn begins a turn, of which others may want to know.
func (l *loop) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.added = 0
	if l.turned != nil {
		close(l.turned)
		l.turned = nil
	}
}

// remove is the end of add.
func (l *loop) remove(s *socket) {
	l.mu.Lock()
	delete(l.sockets, int32(s.fd))
	l.mu.Unlock()
}

// all returns the connections of the loop.
func (l *loop) all() []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*socket, 0, len(l.sockets))
	for _, s := range l.sockets {
		all = append(all, s)
	}
	return all
}

// soon has the loop look after s at the end of its turn. false: it is at rest, and nothing is done.
func (l *loop) soon(s *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sleeping {
		return false
	}
	l.todo = append(l.todo, s)
	return true
}

// later is soon that wakes the loop.
func (l *loop) later(s *socket) {
	l.mu.Lock()
	l.todo = append(l.todo, s)
	wake := l.sleeping
	l.mu.Unlock()
	if wake {
		l.rouse()
	}
}

// rouse makes an event.
func (l *loop) rouse() {
	one := [8]byte{1}
	_, _ = unix.Write(l.wake, one[:]) // fails only where there is an event already
}

// stop ends the loop, which has no connection any more, and waits for it.
func (l *loop) stop() {
	l.begin.Do(func() { go l.run() }) // it had no connection: it ends at once
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	l.rouse()
	<-l.ended
}

// room returns where the next bytes of s are read to, together with who counts them; nil where the budget has no room for a chunk.
func (l *loop) room(s *socket) ([]byte, *Lease) {
	budget := s.opts.Budget
	if same := l.lease == nil && budget == nil || l.lease != nil && l.lease.budget == budget; !same || cap(l.chunk)-len(l.chunk) < loopRoom {
		l.lease.Release()
		l.lease, l.chunk = nil, nil
		if !budget.take(loopChunk, s.leaves()) {
			return nil, nil
		}
		if budget != nil {
			l.lease = (&Lease{budget: budget, size: loopChunk}).hold()
		}
		l.chunk = dirty(0, loopChunk)
	}
	return l.chunk[len(l.chunk):cap(l.chunk)], l.lease
}

// came counts n bytes that were read into room, and returns them.
func (l *loop) came(n int) []byte {
	from := len(l.chunk)
	l.chunk = l.chunk[:from+n]
	return l.chunk[from : from+n : from+n]
}
