package netio

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"
)

const (
	blockBytes = 16 << 10 // bounds one write on a connection that is no socket
	maxPieces  = 256      // bounds one write on a socket; the kernels' own bound is 1024
	maxSpare   = 64       // bounds the emptied queue that a connection keeps, in pieces
	freeBytes  = 4 << 10  // what may wait at each connection though the budget is used up
	smallPiece = 32 << 10 // a shorter piece that waits is copied: it may be the last to hold a chunk of twice that
)

// output is what waits to be written. All but what the writer owns is guarded by conn.mu.
type output struct {
	queue   [][]byte // pieces in order, none empty
	sent    int64    // bytes that were ever queued
	writing bool     // a goroutine is writing: it takes what is queued meanwhile
	behind  bool     // … and it waits for the peer

	// The writer's own.
	batch [][]byte // being written; its front has advanced over what is written
	spare [][]byte // an emptied queue
	cut   int      // how much of the batch's first piece is written; it is counted as long as the rest keeps it
	block []byte
	wait  bool                  // writeStep waits for the kernel
	err   error                 // of writeStep
	step  func(fd uintptr) bool // writeStep, bound once
}

// Send implements Conn.
func (c *conn) Send(head, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return ErrClosed
	}
	n := int64(len(head) + len(body))
	if c.sent+n-c.written.Load() > int64(c.opts.MaxQueuedBytes) {
		c.close(ErrBacklog)
		return ErrBacklog
	}
	if c.sent+n-c.written.Load() <= freeBytes {
		c.opts.Budget.Force(int(n))
	} else if !c.opts.Budget.Take(int(n)) {
		return ErrNoRoom
	}
	c.sent += n
	c.counted.Add(n)
	for _, piece := range [2][]byte{head, body} {
		if len(piece) > 0 {
			c.queue = append(c.queue, c.toWait(piece))
		}
	}
	c.flush()
	return nil
}

// toWait returns a piece as it may wait to be written: a small one as a copy, so that it does not keep the chunk that it lies in.
// c.mu is held.
func (c *conn) toWait(piece []byte) []byte {
	if c.behind && c.opts.Budget != nil && len(piece) < smallPiece {
		return bytes.Clone(piece)
	}
	return piece
}

// Written implements Conn.
func (c *conn) Written() int64 { return c.written.Load() }

// flush writes what is queued: as far as the kernel takes it at once, the rest in the background. It does nothing where somebody else
// writes, and inside a callback, whose end flushes. c.mu is held, and let go of while the kernel is asked.
func (c *conn) flush() {
	if c.turn || c.writing || len(c.queue) == 0 || c.state == closed {
		return
	}
	c.writing = true
	if c.raw == nil || !c.drain(false) {
		c.engine.running.Go(c.writeOn)
	}
}

// writeOn is the writing goroutine of a peer that does not keep up.
func (c *conn) writeOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = true
	if c.raw != nil { // else nothing was tried yet
		for i, piece := range c.batch {
			c.batch[i] = c.toWait(piece)
		}
		if len(c.batch) > 0 && len(c.batch[0]) < smallPiece && c.opts.Budget != nil { // a copy of the rest
			c.uncount(c.cut)
			c.cut = 0
		}
		for i, piece := range c.queue {
			c.queue[i] = c.toWait(piece)
		}
	}
	c.drain(true)
	c.behind = false
	if c.opts.StallTimeout > 0 {
		_ = c.nc.SetWriteDeadline(time.Time{}) // fails on a dead socket only
	}
}

// patience gives the peer time to take the next bytes.
func (c *conn) patience() {
	if c.opts.StallTimeout > 0 {
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.opts.StallTimeout))
	}
}

// stalled is why writing ended, in our words where the peer took nothing in time.
func stalled(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrStalled
	}
	return err
}

// drain writes until nothing is left, and ends writing; or, unless wait, until the kernel takes no more, and returns false. c.mu is
// held, and let go of during each write.
func (c *conn) drain(wait bool) bool {
	for c.state != closed && len(c.batch)+len(c.queue) > 0 {
		if len(c.batch) == 0 {
			c.batch, c.queue, c.spare = c.queue, c.spare, c.queue[:0]
		}
		c.mu.Unlock()
		err := c.write(wait)
		c.mu.Lock()
		if err != nil {
			c.close(err)
		} else if len(c.batch) > 0 && !wait {
			return false
		}
	}
	c.writing = false
	c.batch = nil
	if cap(c.spare) > maxSpare {
		c.spare = nil
	}
	c.changed.Broadcast()
	return true
}

// write writes the batch, or as much of it as the kernel takes without waiting.
func (c *conn) write(wait bool) error {
	if c.raw == nil {
		return c.writeBlocks()
	}
	c.wait, c.err = wait, nil
	if wait {
		c.patience()
	}
	if err := c.raw.Write(c.step); err != nil {
		return stalled(err)
	}
	return c.err
}

// writeStep is handed the socket when it can be written to, and reports whether it is done with it.
func (c *conn) writeStep(fd uintptr) bool {
	for took := false; len(c.batch) > 0; {
		pieces, size := c.batch[:min(len(c.batch), maxPieces)], 0
		for _, piece := range pieces {
			size += len(piece)
		}
		c.written.Add(int64(size))
		n, again, err := writev(fd, pieces)
		c.written.Add(int64(n - size))
		c.uncount(c.advance(n))
		took = took || n > 0
		switch {
		case again:
			if c.wait && took {
				c.patience()
			}
			return !c.wait
		case err != nil:
			to := c.nc.RemoteAddr()
			c.err = &net.OpError{Op: "write", Net: to.Network(), Addr: to, Err: os.NewSyscallError("writev", err)}
			return true
		}
	}
	return true
}

// writeBlocks writes the batch with the plain Write, small pieces put together into blocks.
func (c *conn) writeBlocks() error {
	for len(c.batch) > 0 {
		block := c.nextBlock()
		c.written.Add(int64(len(block)))
		c.patience()
		n, err := c.nc.Write(block)
		c.written.Add(int64(n - len(block)))
		c.uncount(c.advance(n))
		if err != nil {
			return stalled(err)
		}
	}
	return nil
}

// advance takes n written bytes off the front of the batch. It returns what the pieces have cost that are written as a whole.
func (o *output) advance(n int) (done int) {
	for n > 0 {
		first := o.batch[0]
		if n < len(first) {
			o.batch[0] = first[n:]
			o.cut += n
			break
		}
		n -= len(first)
		done += o.cut + len(first)
		o.cut = 0
		o.batch[0] = nil
		o.batch = o.batch[1:]
	}
	return done
}

// uncount gives back n bytes of what waits.
func (c *conn) uncount(n int) {
	if n > 0 {
		c.counted.Add(-int64(n))
		c.opts.Budget.Give(n)
	}
}

// nextBlock returns the front of the batch, at most blockBytes.
func (c *conn) nextBlock() []byte {
	if first := c.batch[0]; len(c.batch) == 1 || len(first) >= blockBytes {
		return first[:min(len(first), blockBytes)]
	}
	c.block = c.block[:0]
	for _, piece := range c.batch {
		c.block = append(c.block, piece[:min(len(piece), blockBytes-len(c.block))]...)
		if len(c.block) == blockBytes {
			break
		}
	}
	return c.block
}
