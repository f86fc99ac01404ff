package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// counting counts the writes that it takes.
type counting struct {
	bytes.Buffer
	writes int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

// Lines are written together, whole and in order: after a while, when they are many, and when they are asked for.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &counting{}
		b := &batch{to: to}
		expect := func(what string, writes, length int) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock()
			defer b.mu.Unlock()
			if to.writes != writes || to.Len() != length {
				t.Errorf("%s: %d writes of %d bytes, want %d of %d", what, to.writes, to.Len(), writes, length)
			}
		}
		for range 2 {
			b.mu.Lock()
			to.writes = 0
			to.Reset()
			b.mu.Unlock()
			b.Write([]byte("one\n"))
			b.Write([]byte("two\n"))
			time.Sleep(batchTime - 1)
			expect("before its time", 0, 0)
			time.Sleep(1 * time.Nanosecond)
			expect("after it", 1, 8)
		}
		if got := to.String(); got != "one\ntwo\n" {
			t.Errorf("%q", got)
		}
		long := []byte(strings.Repeat("x", batchBytes/2))
		b.Write(long)
		b.Write(long)
		expect("many at once", 2, 8+batchBytes)
		b.Write([]byte("three\n"))
		b.Flush()
		expect("asked for", 3, 8+batchBytes+6)
		b.Flush()
		expect("nothing waits", 3, 8+batchBytes+6)
	})
}
