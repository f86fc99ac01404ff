package main

import (
	"io"
	"sync"
	"time"
)

const (
	batchBytes = 64 << 10              // that wait at most, but for one line
	batchTime  = 50 * time.Millisecond // that a line waits at most
)

// batch is a writer of lines that writes many at once: a write for each line of the access log cost a busy gateway as much as five of the
// calls that it told of. Lines that come faster than they can be written wait for it, as they would without.
type batch struct {
	to io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // goes off where lines wait
}

// Write takes a line. A failure to write is the next one's.
func (b *batch) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line...)
	if len(b.lines) >= batchBytes {
		return len(line), b.flush()
	}
	if len(b.lines) == len(line) { // the first
		if b.timer == nil {
			b.timer = time.AfterFunc(batchTime, b.Flush)
		} else {
			b.timer.Reset(batchTime)
		}
	}
	return len(line), nil
}

// Flush writes what waits.
func (b *batch) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.flush() // as where a logger's writer fails
}

func (b *batch) flush() error {
	if len(b.lines) == 0 {
		return nil
	}
	_, err := b.to.Write(b.lines)
	b.lines = b.lines[:0]
	return err
}
