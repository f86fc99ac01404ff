package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
)

// served runs f against Serve(h) in virtual time; f ends the server by end.
func served(t *testing.T, h http.HandlerFunc, f func(dial func() net.Conn, end func() error)) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New()
		l, err := network.Listen("admin:1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, nil, h) }()
		dial := func() net.Conn {
			c, err := network.Dial(t.Context(), "admin:1")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		f(dial, func() error { cancel(); return <-ended })
	})
}

// statusCode sends one request and returns the status of its answer; 0 if the connection was closed instead.
func statusCode(c net.Conn) int {
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }

// Serve answers until its context ends, and closes what is idle then.
func TestServe(t *testing.T) {
	served(t, ok, func(dial func() net.Conn, end func() error) {
		c := dial()
		defer c.Close()
		if got := statusCode(c); got != 200 {
			t.Errorf("status %d", got)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end: %v, want EOF", err)
		}
	})
}

// An answer under way at the end is written; one that does not come is given up after 2 s.
func TestServeEnd(t *testing.T) {
	for _, tt := range []struct{ takes, ends time.Duration }{{time.Second, time.Second}, {time.Hour, closeTime}} {
		h := func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(tt.takes):
			case <-r.Context().Done():
			}
		}
		served(t, h, func(dial func() net.Conn, end func() error) {
			c := dial()
			defer c.Close()
			got := make(chan int, 1)
			go func() { got <- statusCode(c) }()
			synctest.Wait()
			start := time.Now()
			// Shutdown looks again at growing intervals, half a second at most.
			if err := end(); err != nil || time.Since(start) < tt.ends || time.Since(start) > tt.ends+time.Second {
				t.Errorf("ended after %v, %v; want %v", time.Since(start), err, tt.ends)
			}
			if s := <-got; (s == 200) != (tt.takes == time.Second) {
				t.Errorf("status %d of a call that takes %v", s, tt.takes)
			}
		})
	}
}

// A peer that does not say what it wants is closed after 5 s.
func TestServeSlowPeer(t *testing.T) {
	served(t, ok, func(dial func() net.Conn, end func() error) {
		c := dial()
		defer c.Close()
		start := time.Now()
		_, _ = io.WriteString(c, "GET / HT")
		_, _ = io.ReadAll(c)
		if took := time.Since(start); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("closed after %v, want 5s", took)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// Past the bound on connections, one waits until another is closed.
func TestServeConnectionBound(t *testing.T) {
	served(t, ok, func(dial func() net.Conn, end func() error) {
		var open []net.Conn
		for range maxConnections {
			c := dial()
			if got := statusCode(c); got != 200 {
				t.Fatalf("connection %d: status %d", len(open), got)
			}
			open = append(open, c)
		}
		late := dial()
		defer late.Close()
		got := make(chan int, 1)
		go func() { got <- statusCode(late) }()
		synctest.Wait()
		select {
		case s := <-got:
			t.Errorf("answered past the bound: %d", s)
		default:
		}
		open[0].Close()
		if s := <-got; s != 200 {
			t.Errorf("status %d once there is room", s)
		}
		for _, c := range open[1:] {
			c.Close()
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// A listener that fails ends Serve with its error; one that is at its bound is closed all the same.
func TestServeListenerFails(t *testing.T) {
	l, err := memnet.New().Listen("admin:1")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, nil, http.HandlerFunc(ok)); err == nil {
		t.Error("no error from a closed listener")
	}
	full := newLimited(l, 0)
	full.Close()
	if _, err := full.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept at the bound: %v", err)
	}
}
