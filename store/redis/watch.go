package redis

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

var errSilent = errors.New("the server is silent")

// watched is a connection whose other end is asked so often that something comes all the time. Where nothing has come for a while it tells so,
// once, and stays open: a server that was stopped goes on where it was, and what it tells then comes in order. Where nothing comes for
// longer it breaks. An answer that takes long to be read is no silence.
type watched struct {
	net.Conn
	silence, limit time.Duration // it tells, it breaks
	tell           func()
	began          time.Time
	came           atomic.Int64 // when something came last, since began
	broken, closed atomic.Bool
	timer          *time.Timer
	told           int64 // of the silence after that time; look's alone, which never runs twice at one time
}

// watch starts to watch c. silence is up to limit.
func watch(c net.Conn, silence, limit time.Duration, tell func()) *watched {
	w := &watched{Conn: c, silence: silence, limit: limit, tell: tell, began: time.Now(), told: -1}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Reset(silence)
	return w
}

// look runs when nothing may have come for long enough, and sees to it that it runs again.
func (w *watched) look() {
	came := w.came.Load()
	quiet := time.Since(w.began) - time.Duration(came)
	next := min(w.silence, w.limit-quiet)
	switch {
	case quiet >= w.limit:
		w.broken.Store(true)
		_ = w.Close()
		return
	case quiet < w.silence:
		next = w.silence - quiet
	case w.told != came && !w.closed.Load():
		w.told = came
		w.tell()
	}
	w.timer.Reset(next)
	if w.closed.Load() {
		w.timer.Stop()
	}
}

// Read implements net.Conn.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.came.Store(int64(time.Since(w.began)))
	}
	return n, w.why(err)
}

// Write implements net.Conn.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	return n, w.why(err)
}

// why is the error of a connection that has broken.
func (w *watched) why(err error) error {
	if err != nil && w.broken.Load() {
		return errSilent
	}
	return err
}

// Close implements net.Conn.
func (w *watched) Close() error {
	w.closed.Store(true)
	w.timer.Stop()
	return w.Conn.Close()
}
