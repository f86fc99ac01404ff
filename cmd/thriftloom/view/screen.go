package view

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// ANSI sequences that a Screen writes.
const (
	hideCursor   = "\x1b[?25l"
	showCursor   = "\x1b[?25h"
	home         = "\x1b[H"
	clearScreen  = "\x1b[2J"
	clearLine    = "\x1b[K" // from the cursor on
	clearBelow   = "\x1b[J"
	noStyle      = "\x1b[0m"
	plainEvery   = time.Second // between two lines where no frame can be drawn
	defaultWidth = 80
)

// Screen shows states: on a terminal as frames, each in the place of the one before; elsewhere (a pipe, a file, TERM=dumb) as a plain
// line a second and one for each event. Safe for concurrent use.
type Screen struct {
	out   io.Writer
	live  bool
	color bool
	size  func() (width, height int, err error)

	mu            sync.Mutex
	closed        bool
	width, height int           // of the last frame; zero: none was drawn
	next          time.Duration // plain: the Elapsed from which on the next line is due
	lastEvent     time.Time     // plain: of the last event shown
}

// NewScreen returns a screen on out. getenv, which is os.Getenv outside of tests, is asked for NO_COLOR (set: no color, as in
// no-color.org) and TERM.
func NewScreen(out *os.File, getenv func(string) string) *Screen {
	fd := int(out.Fd())
	live := term.IsTerminal(fd) && getenv("TERM") != "dumb"
	return &Screen{
		out: out, live: live, color: live && getenv("NO_COLOR") == "",
		size: func() (int, int, error) { return term.GetSize(fd) },
	}
}

// Live reports whether frames are drawn: whether it is worth calling Draw more than once a second.
func (s *Screen) Live() bool { return s.live }

// Draw shows st. After Close it does nothing.
func (s *Screen) Draw(st State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	text := s.plain(st)
	if s.live {
		text = s.frame(st)
	}
	if text == "" {
		return nil
	}
	_, err := io.WriteString(s.out, text) // one write a frame: no half of one is seen
	return err
}

// frame returns what puts the state in the place of the frame before.
func (s *Screen) frame(st State) string {
	width, height, err := s.size()
	if err != nil || width <= 0 || height <= 0 {
		width, height = defaultWidth, 24
	}
	var b strings.Builder
	if width != s.width || height != s.height { // the first, or what is on the screen was broken anew
		b.WriteString(hideCursor + clearScreen)
		s.width, s.height = width, height
	}
	b.WriteString(home)
	// The last line stays free, so that the newline of Close does not move the frame.
	frame := Render(st, width, max(1, height-1), s.color)
	b.WriteString(strings.ReplaceAll(frame, "\n", clearLine+"\n"))
	b.WriteString(clearLine + clearBelow)
	return b.String()
}

// plain returns the new events, and a line where it is time for one.
func (s *Screen) plain(st State) string {
	var b strings.Builder
	for _, e := range st.Events {
		if e.At.After(s.lastEvent) {
			b.WriteString(e.At.Format("15:04:05") + "  " + clean(e.Text) + "\n")
			s.lastEvent = e.At
		}
	}
	if st.Elapsed >= s.next {
		b.WriteString(Line(st) + "\n")
		s.next = st.Elapsed.Truncate(plainEvery) + plainEvery
	}
	return b.String()
}

// Close leaves the last frame on the terminal, the cursor below it. It may be called more than once.
func (s *Screen) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.width == 0 {
		return nil
	}
	_, err := io.WriteString(s.out, noStyle+showCursor+"\n")
	return err
}
