package view

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(second int) time.Time { return time.Date(2026, 3, 1, 12, 0, second, 0, time.UTC) }

// fleet is a state in which every part has something to show.
func fleet() State {
	s := State{
		Title: "thriftloom demo", Elapsed: 83 * time.Second, Gateway: "127.0.0.1:9090", Admin: "http://127.0.0.1:9091/",
		Replicas: []Replica{
			{Name: "users-1", State: "ready", PID: 41233, InFlight: 3, Slots: 4, Rate: 412.4, P50: 1200 * time.Microsecond, P99: 8430 * time.Microsecond},
			{Name: "users-2", State: "ready", PID: 41270, InFlight: 4, Slots: 4, Rate: 1398, P50: 1150 * time.Microsecond, P99: 12345 * time.Microsecond, Restarts: 1},
			{Name: "reports-1", State: "ready", PID: 41236, InFlight: 1, Slots: 64, Rate: 2.25, P50: 210 * time.Millisecond, P99: 1800 * time.Millisecond},
			{Name: "users-3", State: "starting", PID: 41301, Slots: 4},
			{Name: "a-service-of-a-very-long-name-7", State: "failed", Restarts: 12, Slots: 4},
			{Name: "legacy", State: "stopped"},
		},
		Total: Total{Rate: 1812.65, P50: 1180 * time.Microsecond, P99: 11200 * time.Microsecond, Errors: 1042, InFlight: 8, Queue: 17},
		Events: []Event{
			{At: at(1), Text: "users-1 is ready, pid 41233"},
			{At: at(41), Text: "users-2 was killed (signal 9); its calls go to users-1", Warn: true},
			{At: at(42), Text: "users-2 is ready, pid 41270"},
			{At: at(59), Text: "caller said \x1b[31mred\x1b[0m\r\nand 結果"},
		},
		Tour: &Caption{
			Step: 2, Steps: 5, Text: "A worker dies. Its calls go to the other one, and a new worker takes its place.",
			Config: []string{`run: {command: [python3, server.py, "{socket}"],`, `      replicas: 2}`},
		},
		Footer: "Ctrl-C ends",
	}
	for i := range 40 {
		s.Rates = append(s.Rates, float64(i%20)*90+200)
	}
	return s
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got = strings.ReplaceAll(got, "\x1b", "␛") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: run with -update if it is meant to be so:\n%s", path, diff)
	}
}

// A frame is what the golden files show, at every width.
func TestRenderGolden(t *testing.T) {
	for _, width := range []int{120, 80, 40} {
		golden(t, fmt.Sprintf("fleet-%d", width), Render(fleet(), width, 0, false))
	}
	golden(t, "fleet-80-color", Render(fleet(), 80, 0, true))
	golden(t, "fleet-80x14", Render(fleet(), 80, 14, false))
	golden(t, "start-80", Render(State{Title: "thriftloom demo", Gateway: "127.0.0.1:9090"}, 80, 24, false))
}

// No size breaks a frame: no line is wider, no frame is higher, and it stays valid text.
func TestRenderFits(t *testing.T) {
	for width := 1; width <= 200; width++ {
		for height := 1; height <= 40; height++ {
			frame := Render(fleet(), width, height, false)
			lines := strings.Split(frame, "\n")
			if len(lines) > height || !utf8.ValidString(frame) {
				t.Fatalf("%dx%d: %d lines, valid %v", width, height, len(lines), utf8.ValidString(frame))
			}
			for _, l := range lines {
				if columns(l) > width {
					t.Fatalf("%dx%d: %q takes %d columns", width, height, l, columns(l))
				}
			}
		}
	}
}

// Color adds styles, and changes no text.
func TestRenderColor(t *testing.T) {
	got := Render(fleet(), 80, 24, true)
	for _, style := range []style{styleBold, styleDim, styleBad, styleGood, styleWarn, styleAccent} {
		got = strings.ReplaceAll(got, "\x1b["+string(style)+"m", "")
	}
	got = strings.ReplaceAll(got, "\x1b[0m", "")
	if diff := cmp.Diff(Render(fleet(), 80, 24, false), got); diff != "" {
		t.Error(diff)
	}
}

// What others wrote cannot drive the terminal.
func TestRenderTakesControlCharactersOut(t *testing.T) {
	evil := "a\x1b]0;title\x07\x1b[2J\r\n\u202e\u009b31mb"
	s := State{
		Title: evil, Gateway: evil, Admin: evil, Footer: evil, Replicas: []Replica{{Name: evil, State: evil}},
		Events: []Event{{Text: evil}}, Tour: &Caption{Text: evil, Config: []string{evil}},
	}
	for _, text := range []string{strings.ReplaceAll(Render(s, 200, 0, false), "\n", ""), Line(s)} {
		if clean(text) != text {
			t.Errorf("control characters in %q", text)
		}
	}
}

// A bar shows a cell a slot where they fit, else its share; one call always shows, and a full bar means that no slot is free.
func TestSlots(t *testing.T) {
	for _, tt := range []struct {
		inFlight, slots, cells int
		want                   string
	}{
		{0, 4, 8, "□□□□ 0/4"},
		{3, 4, 8, "■■■□ 3/4"},
		{1, 64, 8, "■□□□□□□□ 1/64"},
		{64, 64, 8, "■■■■■■■■ 64/64"},
		{5, 4, 8, "■■■■ 5/4"},
		{3, 4, 0, "3/4"},
		{3, 0, 8, "3"},
	} {
		if got := slots(Replica{InFlight: tt.inFlight, Slots: tt.slots}, tt.cells); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}

// Numbers are short.
func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		rate(0): "0", rate(0.04): "0.0", rate(9.94): "9.9", rate(9.96): "10", rate(1234.5): "1,235",
		cut("users", 5): "users", cut("users", 4): "use…", cut("結果", 3): "結…", cut("a", 0): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func terminal(out *bytes.Buffer, width, height *int) *Screen {
	return &Screen{out: out, live: true, size: func() (int, int, error) { return *width, *height, nil }}
}

// On a terminal each frame takes the place of the one before; the cursor is hidden meanwhile, and comes back below the last frame.
func TestScreenLive(t *testing.T) {
	var out bytes.Buffer
	width, height := 80, 24
	s := terminal(&out, &width, &height)
	draw := func() string {
		out.Reset()
		if err := s.Draw(fleet()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := home + strings.ReplaceAll(Render(fleet(), 80, 23, false), "\n", clearLine+"\n") + clearLine + clearBelow
	if got := draw(); got != hideCursor+clearScreen+want {
		t.Errorf("first frame: %q", got)
	}
	if got := draw(); got != want {
		t.Errorf("second frame: %q", got)
	}
	width = 60
	if got := draw(); !strings.HasPrefix(got, hideCursor+clearScreen+home) {
		t.Errorf("after a change of size: %q", got)
	}
	out.Reset()
	if err := errors.Join(s.Close(), s.Close()); err != nil || out.String() != noStyle+showCursor+"\n" {
		t.Errorf("close wrote %q, %v", out.String(), err)
	}
	if got := draw(); got != "" {
		t.Errorf("a frame after close: %q", got)
	}
}

// A screen that drew nothing leaves the terminal alone.
func TestScreenCloseAlone(t *testing.T) {
	var out bytes.Buffer
	width, height := 80, 24
	if err := terminal(&out, &width, &height).Close(); err != nil || out.Len() > 0 {
		t.Errorf("close wrote %q, %v", out.String(), err)
	}
}

// Where no frame can be drawn there is a plain line a second, and each event once.
func TestScreenPlain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := NewScreen(file, func(string) string { return "" })
	if s.Live() {
		t.Error("a file is not live")
	}
	st := State{Total: Total{Rate: 812, P50: time.Millisecond}, Replicas: []Replica{{State: "ready"}, {State: "starting"}}}
	for i := range 12 { // 3 s, four frames a second
		st.Elapsed = time.Duration(i) * 250 * time.Millisecond
		if i == 5 {
			st.Events = append(st.Events, Event{At: at(1), Text: "users-2 was \x1b[31mkilled"})
		}
		if i == 9 {
			st.Events = append(st.Events, Event{At: at(2), Text: "users-2 is ready"})
		}
		if err := s.Draw(st); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `0s  calls/s 812  p50 1ms  p99 0s  errors 0  in flight 0  queue 0  replicas 1/2 ready
1s  calls/s 812  p50 1ms  p99 0s  errors 0  in flight 0  queue 0  replicas 1/2 ready
12:00:01  users-2 was ·[31mkilled
2s  calls/s 812  p50 1ms  p99 0s  errors 0  in flight 0  queue 0  replicas 1/2 ready
12:00:02  users-2 is ready
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// A terminal that does not tell its size is taken as 80 x 24, and errors of the output reach the caller.
func TestScreenErrors(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{out: &out, live: true, size: func() (int, int, error) { return 0, 0, errors.New("no size") }}
	if err := s.Draw(fleet()); err != nil || !strings.Contains(out.String(), strings.Repeat("─", 78)) {
		t.Errorf("%v: %q", err, out.String())
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	if err := NewScreen(write, os.Getenv).Draw(fleet()); err == nil {
		t.Error("no error from a closed pipe")
	}
}
