package redis

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A silence is told once, when it has lasted, and the next one is told again; a connection that is closed tells nothing.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var all []time.Duration
		told := func() []time.Duration { synctest.Wait(); mu.Lock(); defer mu.Unlock(); return slices.Clone(all) }
		near, far := net.Pipe()
		w := watch(near, 80*time.Millisecond, 2*time.Second, func() { mu.Lock(); defer mu.Unlock(); all = append(all, time.Since(began)) })
		say := func() {
			go func() { _, _ = far.Write([]byte("x")) }()
			if _, err := w.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			time.Sleep(79 * time.Millisecond)
			say()
		}
		if told := told(); len(told) != 0 {
			t.Fatalf("told at %v", told)
		}
		time.Sleep(time.Second)
		say()
		time.Sleep(time.Second)
		if told := told(); len(told) != 2 || told[0] != 870*time.Millisecond || told[1] != 1870*time.Millisecond {
			t.Errorf("told at %v", told)
		}
		say()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if told := told(); len(told) != 2 {
			t.Errorf("told at %v", told)
		}
		_ = far.Close()
	})
}

// A connection from which nothing comes for long enough breaks; one from which a little comes does not.
func TestWatchBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := watch(near, time.Second, time.Second, nil)
		for range 10 {
			time.Sleep(999 * time.Millisecond)
			go func() { _, _ = far.Write([]byte("x")) }()
			if _, err := w.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, errSilent) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = far.Close()
	})
}
