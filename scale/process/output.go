package process

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Bounds of what replicas write.
const (
	maxLineBytes = 4 << 10     // of a line that is shown; the rest of it is in the log file only
	keptLines    = 20          // of a replica, for the snapshot and for the log when it ends
	linesASecond = 100         // of one replica that are shown
	linesAtOnce  = 500         // above linesASecond, for a traceback or two
	maxLogBytes  = 10 << 20    // of a log file, before it becomes the older one
	drainOutput  = time.Second // to read what is left once a group has ended; longer only where a process escaped from the group
)

// tail takes what one replica writes: all of it to the log file, its lines to the output and to the last lines. Write is for one
// goroutine at a time; lines is safe for concurrent use.
type tail struct {
	file *logFile
	show func(line []byte) // nil: no output
	rate bucket

	line []byte // the line that has not ended yet, at most maxLineBytes of it
	cut  bool   // whether it was longer
	left int    // lines that were not shown since one was

	mu   sync.Mutex
	last []string
}

// Write never fails: a full disk must not stop a replica.
func (t *tail) Write(p []byte) (int, error) {
	t.file.write(p)
	for rest := p; len(rest) > 0; {
		text, after, ended := bytes.Cut(rest, []byte{'\n'})
		room := maxLineBytes - len(t.line)
		t.cut = t.cut || len(text) > room
		t.line = append(t.line, text[:min(len(text), room)]...)
		if ended {
			t.end(time.Now())
		}
		rest = after
	}
	return len(p), nil
}

// flush ends the line that the replica has not ended. Call it when the replica has.
func (t *tail) flush() {
	if len(t.line) > 0 {
		t.end(time.Now())
	}
	if t.left > 0 {
		t.showLeft()
	}
}

func (t *tail) end(now time.Time) {
	line := bytes.TrimSuffix(t.line, []byte{'\r'})
	if t.cut {
		line = append(line, " … (cut)"...)
	}
	t.mu.Lock()
	if len(t.last) == keptLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, string(line))
	t.mu.Unlock()
	switch {
	case t.show == nil:
	case !t.rate.take(now):
		t.left++
	default:
		if t.left > 0 {
			t.showLeft()
		}
		t.show(line)
	}
	t.line, t.cut = t.line[:0], false
}

func (t *tail) showLeft() {
	t.show(fmt.Appendf(nil, "(%d lines left out here; %s has them)", t.left, t.file.path))
	t.left = 0
}

// lines returns the last lines, oldest first.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.last)
}

// bucket lets linesASecond through, and linesAtOnce after a pause. The zero value is full.
type bucket struct {
	used float64
	at   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*linesASecond)
	b.at = now
	if b.used+1 > linesAtOnce {
		return false
	}
	b.used++
	return true
}

// prefixed returns a function that writes lines to w, each behind name. mu is that of w.
func prefixed(w io.Writer, mu *sync.Mutex, name string) func([]byte) {
	if w == nil {
		return nil
	}
	return func(line []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(w, "%s | %s\n", name, line) // nobody is left to tell
	}
}

// logFile is a file that is set aside when it is full. A failure is logged once and does not reach the writer.
type logFile struct {
	path   string
	max    int64
	log    *slog.Logger
	f      *os.File
	size   int64
	failed bool
}

func (l *logFile) write(p []byte) {
	if err := l.tryWrite(p); err != nil && !l.failed {
		l.failed = true
		l.log.Error("a replica's output cannot be kept", "file", l.path, "error", err)
	}
}

func (l *logFile) tryWrite(p []byte) error {
	if err := l.open(); err != nil {
		return err
	}
	if l.size > 0 && l.size+int64(len(p)) > l.max {
		l.close()
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
		if err := l.open(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return err
}

// open opens the file where it is not open yet.
func (l *logFile) open() error {
	if l.f != nil {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

func (l *logFile) close() {
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}
