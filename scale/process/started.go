package process

import (
	"io"
	"os"
	"sync"
	"time"
)

// started is a process with what belongs to it here.
type started struct {
	process
	address  string
	leash    *os.File  // while anybody holds it the process lives; nil: it ends with its gateway
	restarts int       // of one that ran already
	since    time.Time // it was ready

	mu    sync.Mutex
	out   *os.File      // what it writes
	taken chan struct{} // closed when nobody reads out any more; nil while nobody does
}

// listen hands what the process writes to w. Whoever reads before has stopped.
func (p *started) listen(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken != nil || p.out == nil {
		return
	}
	_ = p.out.SetReadDeadline(time.Time{})
	taken, out := make(chan struct{}), p.out
	p.taken = taken
	go func() {
		defer close(taken)
		_, _ = io.Copy(w, out) // ends with the last writer, or at the deadline
	}()
}

// mute stops reading what the process writes; the rest waits in the pipe for who reads next.
func (p *started) mute() { p.unlisten(time.Unix(1, 0)) }

func (p *started) unlisten(deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken != nil {
		_ = p.out.SetReadDeadline(deadline)
		<-p.taken
		p.taken = nil
	}
}

// close reads what is left to read and closes all of this process's ends.
func (p *started) close() {
	p.unlisten(time.Now().Add(drainOutput))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range []*os.File{p.out, p.leash} {
		if f != nil {
			_ = f.Close()
		}
	}
	p.out = nil
	if s, ok := p.process.(*stranger); ok {
		s.close()
	}
}

// watch begins to notice the end of a process that another one has started.
func (p *started) watch() {
	if s, ok := p.process.(*stranger); ok {
		s.watch()
	}
}
