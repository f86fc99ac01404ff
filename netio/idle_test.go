package netio

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

type discard struct{}

func (discard) Receive(buf []byte) (int, int) { return len(buf), 0 }
func (discard) Ended()                        {}
func (discard) Closed(error)                  {}

// A connection that was busy and is idle holds no chunk, and an engine holds no connection that is gone.
func TestIdleCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewPortable().(*portable)
		a, b := memnet.Pipe()
		c := e.Start(a, Options{}, func(Conn) Receiver { return discard{} }).(*conn)
		for range 10 {
			if _, err := b.Write(make([]byte, 60_000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := cap(c.input.chunk); n != maxChunkBytes {
			t.Errorf("a busy connection has a chunk of %d bytes", n)
		}
		time.Sleep(3 * idleAfter)
		synctest.Wait()
		if n := cap(c.input.chunk); n > minChunkBytes {
			t.Errorf("an idle connection holds a chunk of %d bytes", n)
		}
		c.Close(nil)
		synctest.Wait()
		if len(e.conns) != 0 {
			t.Error("a connection that is gone is held")
		}
	})
}
