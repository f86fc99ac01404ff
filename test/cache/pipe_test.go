package cache

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// pipe stands between a gateway and its store, and spoils the way.
type pipe struct {
	Address string
	to      string

	mu    sync.Mutex
	delay time.Duration // of what the store answers
	shut  bool          // connections are refused, those that there are are cut
	conns map[net.Conn]bool
}

func newPipe(t *testing.T, to string) *pipe {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{Address: l.Addr().String(), to: to, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.set(0, true)
		all.Wait()
	})
	return p
}

// set spoils the way from now on.
func (p *pipe) set(delay time.Duration, shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.shut = delay, shut
	if shut {
		p.cut()
	}
}

// cut cuts the connections. p.mu is held.
func (p *pipe) cut() {
	for c := range p.conns {
		_ = c.Close()
	}
}

// cutNow cuts the connections once; new ones are taken.
func (p *pipe) cutNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *pipe) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *pipe) serve(c net.Conn) {
	far, err := net.Dial("tcp", p.to)
	if err != nil || !p.add(c) {
		_ = c.Close()
		if err == nil {
			_ = far.Close()
		}
		return
	}
	if !p.add(far) {
		_ = c.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, c)
		_ = far.Close()
	}()
	p.answer(c, far, done)
	_ = c.Close()
	<-done
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, far)
	p.mu.Unlock()
}

// answer brings back what the store says, each piece so much later, until one side has ended.
func (p *pipe) answer(c, far net.Conn, ended <-chan struct{}) {
	type piece struct {
		b  []byte
		at time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			n, err := far.Read(b)
			if n > 0 {
				p.mu.Lock()
				at := time.Now().Add(p.delay)
				p.mu.Unlock()
				pieces <- piece{b[:n], at}
			}
			if err != nil {
				return
			}
		}
	}()
	for x := range pieces {
		select {
		case <-time.After(time.Until(x.at)):
		case <-ended: // nobody waits for it
		}
		if _, err := c.Write(x.b); err != nil {
			_ = far.Close()
		}
	}
}
