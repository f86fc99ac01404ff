package netio

import (
	"bytes"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Send implements Conn.
func (s *socket) Send(head, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return ErrClosed
	}
	n := int64(len(head) + len(body))
	waits := s.sent - s.written.Load()
	if waits+n > int64(s.opts.MaxQueuedBytes) {
		s.close(ErrBacklog)
		return ErrBacklog
	}
	if waits+n <= freeBytes {
		s.opts.Budget.Force(int(n))
	} else if !s.opts.Budget.Take(int(n)) {
		return ErrNoRoom
	}
	s.sent += n
	s.counted.Add(n)
	for _, piece := range [2][]byte{head, body} {
		if len(piece) > 0 {
			s.queue = append(s.queue, s.toWait(piece))
		}
	}
	if s.called || s.writing || s.full || s.queued {
		return nil // who is at it, or the loop, writes it
	}
	if s.attached && s.loop.soon(s) {
		s.queued = true
		return nil
	}
	s.flush(nil)
	return nil
}

// toWait returns a piece as it may wait to be written: where the peer does not keep up a small one is copied, so that it does not keep the
// chunk that it lies in. s.mu is held.
func (s *socket) toWait(piece []byte) []byte {
	if s.full && s.opts.Budget != nil && len(piece) < smallPiece {
		return bytes.Clone(piece)
	}
	return piece
}

// flush writes what is queued, as far as the kernel takes it; the rest waits for an event. It does nothing where somebody else writes.
// s.mu is held, and let go of while the kernel is asked. out is the loop's, and nil where somebody else calls.
func (s *socket) flush(out []byte) {
	if s.writing || s.state == closed || s.state == detached {
		return
	}
	s.writing = true
	for s.state != closed && len(s.batch)+len(s.queue) > 0 {
		if len(s.batch) == 0 {
			s.batch, s.queue, s.spare = s.queue, s.spare, s.queue[:0]
		}
		s.mu.Unlock()
		again, err := s.write(out)
		s.mu.Lock()
		if err != nil {
			s.close(err)
		} else if again {
			s.stuck()
			break
		}
	}
	s.writing = false
	if len(s.batch) == 0 {
		s.batch = nil
	}
	if cap(s.spare) > maxSpare {
		s.spare = nil
	}
	if s.state != open {
		s.care()
	}
}

// write writes the batch, or as much of it as the kernel takes. What fits into out is put together there: the kernel takes longer for two
// pieces than for one with a copy.
func (s *socket) write(out []byte) (again bool, err error) {
	for len(s.batch) > 0 {
		pieces, size := s.batch[:min(len(s.batch), rawPieces)], 0
		for _, piece := range pieces {
			size += len(piece)
		}
		s.written.Add(int64(size))
		n, errno := s.writePieces(pieces, size, out)
		n = max(n, 0)
		s.written.Add(int64(n - size))
		s.uncount(s.advance(n))
		switch errno {
		case 0, unix.EINTR:
		case unix.EAGAIN:
			return true, nil
		default:
			return false, &net.OpError{Op: "write", Net: s.remote.Network(), Addr: s.remote, Err: os.NewSyscallError("writev", errno)}
		}
	}
	return false, nil
}

func (s *socket) writePieces(pieces [][]byte, size int, out []byte) (int, syscall.Errno) {
	if size > len(out) {
		return rawWritev(s.fd, pieces)
	}
	out = out[:0]
	for _, piece := range pieces {
		out = append(out, piece...)
	}
	return rawSend(s.fd, out)
}

// uncount gives back n bytes of what waits.
func (s *socket) uncount(n int) {
	if n > 0 {
		s.counted.Add(-int64(n))
		s.opts.Budget.Give(n)
	}
}

// stuck waits for the peer, which takes no more bytes for now. s.mu is held.
func (s *socket) stuck() {
	s.full = true
	for i, piece := range s.batch {
		s.batch[i] = s.toWait(piece)
	}
	for i, piece := range s.queue {
		s.queue[i] = s.toWait(piece)
	}
	s.watch()
	if s.opts.StallTimeout == 0 {
		return
	}
	s.patient = s.written.Load()
	if s.stall == nil {
		s.stall = time.AfterFunc(s.opts.StallTimeout, s.stalled)
	} else {
		s.stall.Reset(s.opts.StallTimeout)
	}
}

// stalled closes a connection whose peer has taken nothing since the timer was set.
func (s *socket) stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full && s.written.Load() == s.patient {
		s.close(ErrStalled)
	}
}
