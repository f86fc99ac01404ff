package netio

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a connection of the epoll engine.
//
// Its loop makes every callback, Closed included, and owns input. What is below mu is guarded by it; mu is held when the loop's lock is
// taken, never the other way round. At most one goroutine writes to the descriptor at a time: the one that set writing.
type socket struct {
	engine        *epoll
	loop          *loop
	fd            int
	number        int32 // tells it from others that had its descriptor
	local, remote net.Addr
	opts          Options
	receiver      Receiver
	input         input
	output
	written atomic.Int64
	counted atomic.Int64 // bytes of what waits that the budget counts

	mu       sync.Mutex
	changed  *sync.Cond // busy
	state    state
	cause    error // why it is closed
	attached bool  // its loop knows it
	gone     bool  // Closed was called, or is being called
	paused   bool
	again    bool // resumed: what was not used is delivered again
	ended    bool // the peer has sent its last byte
	told     bool // and the receiver knows
	busy     bool // the loop is reading it
	called   bool // a callback is running
	queued   bool // it is among those that the loop looks after
	full     bool // the kernel takes no more bytes for now
	watched  uint32
	stall    *time.Timer // and, once it lingers, the end of that
	patient  int64       // written when stall was set
	lingers  bool        // its last byte is written, and it waits for the peer's
	lingered int         // bytes that came meanwhile; the loop's own
}

var sockets atomic.Int32 // counts them

func newSocket(e *epoll, l *loop, nc net.Conn, fd int, opts Options) *socket {
	s := &socket{engine: e, loop: l, fd: fd, number: sockets.Add(1), local: nc.LocalAddr(), remote: nc.RemoteAddr(), opts: opts}
	s.changed = sync.NewCond(&s.mu)
	s.input.budget, s.input.yield = opts.Budget, opts.Yield
	if len(opts.Received) > 0 {
		s.input.begin(opts.Received)
		s.again, s.opts.Received = true, nil
	}
	if _, ok := nc.(*net.TCPConn); ok {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // fails on a dead socket only, which the first read reports
	}
	return s
}

// LocalAddr implements Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// control hands the descriptor to f, unless it is closed or handed out.
func (s *socket) control(f func(fd uintptr)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return ErrClosed
	}
	f(uintptr(s.fd))
	return nil
}

// Hold implements Conn.
func (s *socket) Hold() *Lease { return s.input.hold() }

// Written implements Conn.
func (s *socket) Written() int64 { return s.written.Load() }

// leaves is what the connection leaves of the budget to others.
func (s *socket) leaves() int64 {
	if !s.opts.Yield {
		return 0
	}
	return s.opts.Budget.spare(s.opts.MaxBufferBytes)
}

// Pause implements Conn.
func (s *socket) Pause() {
	s.mu.Lock()
	s.paused = true // the next event has the loop stop watching
	s.mu.Unlock()
}

// Resume implements Conn.
func (s *socket) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		s.paused, s.again = false, true
		s.watch()
		s.care()
	}
}

// Finish implements Conn.
func (s *socket) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == open {
		s.state = finishing
		s.care()
	}
}

// Close implements Conn. When it returns, the peer has been told.
func (s *socket) Close(cause error) {
	s.mu.Lock()
	s.close(cause)
	s.mu.Unlock()
}

// stop is Close with the engine. What lingers has its time all the same.
func (s *socket) stop() {
	s.mu.Lock()
	if !s.lingers {
		s.close(ErrClosed)
	}
	s.mu.Unlock()
}

// close shuts the socket down; the loop does the rest. s.mu is held.
func (s *socket) close(cause error) {
	if s.state == closed || s.state == detached {
		return
	}
	s.state, s.cause, s.queue = closed, cause, nil
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // fails where the peer has closed it already
	s.care()
}

// care has the loop look after the connection soon. s.mu is held.
func (s *socket) care() {
	if !s.queued && s.attached {
		s.queued = true
		s.loop.later(s)
	}
}

// watch tells the kernel which events are waited for. s.mu is held.
func (s *socket) watch() {
	want := uint32(0)
	if s.state == open && !s.paused && !s.ended || s.state == finishing && s.lingers {
		want = unix.EPOLLIN
	}
	if s.full && s.state != closed && s.state != detached {
		want |= unix.EPOLLOUT
	}
	if want == s.watched || !s.attached {
		return
	}
	op := unix.EPOLL_CTL_MOD
	switch {
	case s.watched == 0:
		op = unix.EPOLL_CTL_ADD
	case want == 0: // else an end that was seen already would be told again and again
		op = unix.EPOLL_CTL_DEL
	}
	s.watched = want
	if err := unix.EpollCtl(s.loop.fd, op, s.fd, &unix.EpollEvent{Events: want, Fd: int32(s.fd), Pad: s.number}); err != nil && want != 0 {
		s.close(os.NewSyscallError("epoll_ctl", err))
	}
}

// turn answers an event. It is the loop's, as are all that follow, but for Detach.
func (s *socket) turn(events uint32) {
	if s.lingers {
		s.discard()
		return
	}
	if events&^unix.EPOLLOUT != 0 {
		s.mu.Lock()
		s.busy = s.state == open && !s.paused && !s.ended && !s.again // what Resume delivers comes first
		if !s.busy {
			s.watch()
			s.mu.Unlock()
		} else {
			s.mu.Unlock()
			for came := 0; came < loopTurn; {
				n := s.read()
				if n == 0 || !s.wants() {
					break
				}
				came += n
			}
			s.left()
		}
	}
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		s.mu.Lock()
		if s.full {
			s.full = false
			s.flush(s.loop.out)
			s.watch()
		}
		s.mu.Unlock()
	}
}

// left says that the loop is through with reading.
func (s *socket) left() {
	s.mu.Lock()
	s.busy = false
	s.changed.Broadcast()
	s.mu.Unlock()
}

// wants reports whether it may be read on.
func (s *socket) wants() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == open && !s.paused
}

// read takes what came and delivers it. It returns how many bytes that were, where they filled what there was room for: more wait. Else 0.
func (s *socket) read() int {
	room, lease, shared := s.room()
	if room == nil {
		s.shed()
		return 0
	}
	n, errno := rawReceive(s.fd, room)
	switch {
	case n > 0 && shared:
		s.input.lend(s.loop.came(n), lease)
	case n > 0:
		s.input.came(n)
	case n == 0 && errno == 0:
		s.mu.Lock()
		s.ended = true
		s.watch()
		s.mu.Unlock()
		s.end()
		return 0
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0
	default:
		s.Close(&net.OpError{Op: "read", Net: s.remote.Network(), Source: s.local, Addr: s.remote, Err: os.NewSyscallError("read", errno)})
		return 0
	}
	if s.input.worth() {
		s.deliver()
	}
	if len(s.input.unused()) > s.opts.MaxBufferBytes {
		s.Close(ErrBufferFull)
	}
	if n < len(room) {
		return 0
	}
	return n
}

// room returns where the next bytes are read to: where nothing waits, the loop's chunk, which counts as lease; else the connection's own;
// nil where the budget has none.
func (s *socket) room() (room []byte, lease *Lease, shared bool) {
	if len(s.input.unused()) == 0 {
		s.input.drop()
		if room, lease = s.loop.room(s); room != nil {
			return room, lease, true
		}
	}
	return s.input.room(s.opts.MaxBufferBytes), nil, false
}

// deliver hands what is unused to the receiver, again as long as that leads on. What is left then lies in memory of the connection's own:
// a message that never becomes whole keeps no chunk of others.
func (s *socket) deliver() {
	for len(s.input.unused()) > 0 && s.call() {
		used, need := s.receiver.Receive(s.input.unused())
		s.input.use(used, need)
		s.uncall()
		if used == 0 || !s.input.worth() {
			break
		}
	}
	s.input.own(s.opts.MaxBufferBytes)
}

// shed lets the receiver use up what it would rather have kept until more had come.
func (s *socket) shed() {
	if !s.call() {
		return
	}
	used := 0
	if shedder, ok := s.receiver.(Shedder); ok {
		used = shedder.Shed(s.input.unused())
		s.input.use(used, 0)
	}
	s.uncall()
	if used == 0 {
		s.Close(ErrNoRoom)
	}
}

// end tells the receiver that the peer has sent its last byte, unless that has to wait.
func (s *socket) end() {
	s.mu.Lock()
	tell := s.ended && !s.told && !s.paused && s.state == open
	s.told = s.told || tell
	s.called = tell
	s.mu.Unlock()
	if tell {
		s.receiver.Ended()
		s.uncall()
	}
}

// call reports whether a callback may be made, and begins it.
func (s *socket) call() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = s.state == open && !s.paused
	return s.called
}

// uncall ends a callback.
func (s *socket) uncall() {
	s.mu.Lock()
	s.called = false
	if len(s.queue) > 0 {
		s.care()
	}
	s.mu.Unlock()
}

// settle writes what is queued, delivers what Resume has set free, and ends a connection that is closed.
func (s *socket) settle() {
	s.mu.Lock()
	s.queued = false
	if s.state == open && s.again {
		s.again, s.busy = false, true
		s.mu.Unlock()
		s.deliver()
		s.end()
		s.left()
		s.mu.Lock()
	}
	if !s.full && !s.lingers {
		s.flush(s.loop.out)
	}
	finished := s.state == finishing && len(s.batch)+len(s.queue) == 0
	over := (s.state == closed || finished && !s.lingers) && !s.writing && !s.gone
	if over && finished && !s.ended && (s.paused || len(s.input.unused()) > 0) && unix.Shutdown(s.fd, unix.SHUT_WR) == nil {
		s.linger()
		over = false
	}
	s.gone = s.gone || over
	s.mu.Unlock()
	if over {
		s.part()
	}
}

// linger waits for the peer's end before the descriptor is closed, within bounds: bytes of the peer may wait unread, and the last answer
// would be lost to a reset. s.mu is held.
func (s *socket) linger() {
	s.lingers = true
	s.input.drop()
	if s.stall != nil {
		s.stall.Stop()
	}
	s.stall = time.AfterFunc(lingerTime, func() { s.Close(nil) })
	s.watch()
}

// discard takes what came while it lingers.
func (s *socket) discard() {
	n, errno := rawReceive(s.fd, s.loop.out)
	if s.lingered += max(n, 0); n > 0 && s.lingered < lingerBytes || errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	s.Close(nil)
}

// part closes the descriptor and tells the receiver.
func (s *socket) part() {
	s.loop.remove(s)
	s.mu.Lock()
	s.state = closed
	s.watch()
	cause := s.cause
	if s.stall != nil {
		s.stall.Stop()
	}
	s.mu.Unlock()
	s.uncount(int(s.counted.Load())) // what is not written any more
	s.input.drop()
	_ = unix.Close(s.fd)
	s.receiver.Closed(cause)
	s.engine.running.Done()
}

// file makes a net.Conn of the descriptor, which is closed.
func (s *socket) file() (net.Conn, error) {
	f := os.NewFile(uintptr(s.fd), "socket")
	defer f.Close()
	return net.FileConn(f)
}

// Detach implements Conn.
func (s *socket) Detach() (net.Conn, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != open:
		return nil, nil, ErrClosed
	case s.called || s.writing || len(s.batch)+len(s.queue) > 0:
		return nil, nil, ErrBusy
	}
	s.state = detached
	for s.busy {
		s.changed.Wait()
	}
	s.attached, s.gone = false, true
	if s.watched != 0 {
		_ = unix.EpollCtl(s.loop.fd, unix.EPOLL_CTL_DEL, s.fd, nil) // it is there
	}
	s.loop.remove(s)
	defer s.engine.running.Done()
	rest := s.input.unused()
	s.input.drop()
	nc, err := s.file()
	return nc, rest, err
}
