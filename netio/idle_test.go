package netio

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

// chunkSizes is a receiver that tells, from the goroutine that owns it, how large the chunk is when bytes come.
type chunkSizes struct {
	conn  *conn
	sizes chan int
}

func (r *chunkSizes) Receive(buf []byte) (int, int) {
	r.sizes <- cap(r.conn.input.chunk)
	return len(buf), 0
}
func (r *chunkSizes) Ended()       {}
func (r *chunkSizes) Closed(error) {}

// A connection that was busy and is idle begins with a small chunk again, and an engine holds no connection that is gone.
func TestIdleCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewPortable().(*portable)
		own, peer := memnet.Pipe()
		r := &chunkSizes{sizes: make(chan int, 10_000)}
		c := e.Start(own, Options{}, func(c Conn) Receiver { r.conn = c.(*conn); return r })
		last := func(n int) (size int) {
			if _, err := peer.Write(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			for synctest.Wait(); len(r.sizes) > 0; {
				size = <-r.sizes
			}
			return size
		}
		if size := last(1 << 20); size != maxChunkBytes {
			t.Errorf("a busy connection has a chunk of %d bytes", size)
		}
		time.Sleep(3 * idleAfter)
		if size := last(1); size != minChunkBytes {
			t.Errorf("behind an idle time the chunk has %d bytes", size)
		}
		c.Close(nil)
		synctest.Wait()
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.conns) != 0 {
			t.Error("a connection that is gone is held")
		}
	})
}
