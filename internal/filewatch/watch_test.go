//go:build unix

package filewatch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a folder in which files are changed.
type site struct {
	t   *testing.T
	dir string
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// write writes a file in one step, so that nobody sees the half of it.
func (s site) write(name, text string) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(s.path(name)), 0o700))
	s.must(os.WriteFile(s.path(name+".part"), []byte(text), 0o600))
	s.rename(name+".part", name)
}

// overwrite writes into the file that is there.
func (s site) overwrite(name, text string) {
	s.t.Helper()
	s.must(os.WriteFile(s.path(name), []byte(text), 0o600))
}

func (s site) rename(from, to string) { s.t.Helper(); s.must(os.Rename(s.path(from), s.path(to))) }

// link makes a link, or turns one over in one step.
func (s site) link(target, name string) {
	s.t.Helper()
	s.must(os.Symlink(target, s.path(name+".new")))
	s.rename(name+".new", name)
}

// watch runs a watcher of these names, of which * are patterns, until the test ends. It delivers what has changed.
func (s site) watch(c Config, names ...string) <-chan []string {
	s.t.Helper()
	var files, patterns []string
	for _, n := range names {
		if filepath.Base(n)[0] == '*' {
			patterns = append(patterns, s.path(n))
		} else {
			files = append(files, s.path(n))
		}
	}
	changed := make(chan []string, 100)
	c.Set = func() ([]string, []string) { return files, patterns }
	c.Seen, c.Log = Look(files, patterns), slog.New(slog.DiscardHandler)
	c.Changed = func(names []string) { changed <- names }
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx, c) })
	s.t.Cleanup(func() { end(); running.Wait() })
	return changed
}

func (s site) expect(changed <-chan []string, want ...string) {
	s.t.Helper()
	for i, name := range want {
		want[i] = s.path(name)
	}
	select {
	case got := <-changed:
		if !slices.Equal(got, want) {
			s.t.Errorf("changed: %v, want %v", got, want)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatal("a change was not seen")
	}
}

// notified looks so seldom by itself that a test sees what notifications alone do.
var notified = Config{Quiet: 20 * time.Millisecond, Look: time.Hour}

// Each way to change a file is seen by its notifications, and again when it is done a second and a third time.
func TestWaysToChange(t *testing.T) {
	for _, c := range []struct {
		name    string
		watched string
		prepare func(s site)
		change  func(s site, round int)
	}{
		{"write in place", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) { s.overwrite("a.yaml", fmt.Sprint(n)) }},
		{"atomic save", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) {
			s.write("a.yaml.tmp", fmt.Sprint(n))
			s.rename("a.yaml.tmp", "a.yaml")
		}},
		{"vim: rename, then create", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) {
			s.rename("a.yaml", "a.yaml~")
			s.write("a.yaml", fmt.Sprint(n))
			s.must(os.Remove(s.path("a.yaml~")))
		}},
		{"remove, then create", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) {
			s.must(os.Remove(s.path("a.yaml")))
			s.write("a.yaml", fmt.Sprint(n))
		}},
		{"same size and time", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) {
			info, err := os.Stat(s.path("a.yaml"))
			s.must(err)
			s.write("b.yaml", fmt.Sprint(n))
			s.must(os.Chtimes(s.path("b.yaml"), info.ModTime(), info.ModTime()))
			s.rename("b.yaml", "a.yaml")
		}},
		{"rights", "a.yaml", func(s site) { s.write("a.yaml", "0") }, func(s site, n int) {
			s.must(os.Chmod(s.path("a.yaml"), os.FileMode(0o600+n)))
		}},
		{"ConfigMap", "a.yaml", func(s site) {
			s.write("..2026_0/a.yaml", "0")
			s.link("..2026_0", "..data")
			s.link("..data/a.yaml", "a.yaml")
		}, func(s site, n int) {
			s.write(fmt.Sprintf("..2026_%d/a.yaml", n), fmt.Sprint(n))
			s.link(fmt.Sprintf("..2026_%d", n), "..data")
			s.must(os.RemoveAll(s.path(fmt.Sprintf("..2026_%d", n-1))))
		}},
		{"link in another folder", "etc/a.yaml", func(s site) {
			s.write("srv/0/a.yaml", "0")
			s.link("0", "srv/current")
			s.must(os.Mkdir(s.path("etc"), 0o700))
			s.link(s.path("srv/current")+"/a.yaml", "etc/a.yaml")
		}, func(s site, n int) {
			s.write(fmt.Sprintf("srv/%d/a.yaml", n), fmt.Sprint(n))
			s.link(fmt.Sprint(n), "srv/current")
		}},
		{"file behind a link", "etc/a.yaml", func(s site) {
			s.write("srv/a.yaml", "0")
			s.must(os.Mkdir(s.path("etc"), 0o700))
			s.link("../srv/a.yaml", "etc/a.yaml")
		}, func(s site, n int) { s.overwrite("srv/a.yaml", fmt.Sprint(n)) }},
		{"folder replaced", "etc/a.yaml", func(s site) { s.write("etc/a.yaml", "0") }, func(s site, n int) {
			s.write("new/a.yaml", fmt.Sprint(n))
			s.rename("etc", fmt.Sprint("old", n))
			s.rename("new", "etc")
		}},
		{"folder removed and created", "etc/a.yaml", func(s site) { s.write("etc/a.yaml", "0") }, func(s site, n int) {
			s.must(os.RemoveAll(s.path("etc")))
			s.write("etc/a.yaml", fmt.Sprint(n))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site{t, t.TempDir()}
			c.prepare(s)
			changed := s.watch(notified, c.watched)
			for round := 1; round <= 3; round++ {
				c.change(s, round)
				s.settle(changed, c.watched)
			}
		})
	}
}

// settle waits for the change of a file. A machine that is slow may see its steps apart.
func (s site) settle(changed <-chan []string, name string) {
	s.t.Helper()
	s.expect(changed, name)
	for quiet := false; !quiet; {
		select {
		case <-changed:
		case <-time.After(5 * notified.Quiet):
			quiet = true
		}
	}
}

// Files that a pattern matches are seen when they come, change and go, and files that are to be there and are not when they come.
func TestFilesComeAndGo(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("d/a.yaml", "0")
	changed := s.watch(notified, "d/*.yaml", "absent")
	s.write("d/b.yaml", "0")
	s.settle(changed, "d/b.yaml")
	s.write("d/b.yaml", "more")
	s.settle(changed, "d/b.yaml")
	s.must(os.Remove(s.path("d/a.yaml")))
	s.settle(changed, "d/a.yaml")
	s.write("absent", "0")
	s.settle(changed, "absent")
	s.must(os.RemoveAll(s.path("d")))
	s.settle(changed, "d/b.yaml")
	s.write("d/c.yaml", "0")
	s.settle(changed, "d/c.yaml")
}

// What else lies in the same folder is not seen, nor is a file that was written as it was and has its time again.
func TestNothingElseIsSeen(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("a.yaml", "0")
	s.write("b.yaml", "0")
	changed := s.watch(notified, "a.yaml", "b.yaml")
	info, err := os.Stat(s.path("a.yaml"))
	s.must(err)
	s.must(os.Chtimes(s.path("a.yaml"), info.ModTime(), info.ModTime()))
	for i := range 50 {
		s.overwrite("server.log", fmt.Sprint(i))
		s.overwrite("a.yaml.swp", fmt.Sprint(i))
	}
	s.write("b.yaml", "more")
	s.settle(changed, "b.yaml")
}

// What nothing notifies of, a folder far above that is replaced, is seen by looking.
func TestLooksByItself(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("top/x/y/etc/a.yaml", "0")
	changed := s.watch(Config{Quiet: time.Millisecond, Look: 10 * time.Millisecond}, "top/x/y/etc/a.yaml")
	for round := range 3 {
		s.write("new/x/y/etc/a.yaml", fmt.Sprint(round))
		s.rename("top", fmt.Sprint("old", round))
		s.rename("new", "top")
		s.settle(changed, "top/x/y/etc/a.yaml")
	}
}

// A change between the first read and the first look is seen.
func TestChangedBeforeWatching(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("a.yaml", "0")
	c := notified
	before := Look([]string{s.path("a.yaml")}, nil)
	s.write("a.yaml", "more")
	changed := make(chan []string, 1)
	c.Set = func() ([]string, []string) { return []string{s.path("a.yaml")}, nil }
	c.Seen, c.Log, c.Changed = before, slog.New(slog.DiscardHandler), func(names []string) { changed <- names }
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx, c) })
	s.expect(changed, "a.yaml")
	end()
	running.Wait()
}

// A file that is part of the set since the last change is told once more: it may have changed before it was watched.
func TestFileThatIsNew(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("a.yaml", "0")
	s.write("b.yaml", "0")
	files := []string{s.path("a.yaml")}
	changed := make(chan []string, 10)
	c := notified
	c.Set = func() ([]string, []string) { return files, nil }
	c.Seen, c.Log = Look(c.Set()), slog.New(slog.DiscardHandler)
	c.Changed = func(names []string) {
		files = []string{s.path("a.yaml"), s.path("b.yaml"), s.path("absent")}
		changed <- names
	}
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx, c) })
	s.write("a.yaml", "more")
	s.expect(changed, "a.yaml")
	s.settle(changed, "b.yaml")
	s.write("b.yaml", "more")
	s.settle(changed, "b.yaml")
	end()
	running.Wait()
}

// A file that never rests is taken as it is when the longest wait is over.
func TestFileThatNeverRests(t *testing.T) {
	s := site{t, t.TempDir()}
	s.write("a.yaml", "0")
	changed := s.watch(Config{Quiet: time.Hour, Longest: 100 * time.Millisecond, Look: time.Hour}, "a.yaml")
	for i := 0; ; i++ {
		s.overwrite("a.yaml", fmt.Sprint(i))
		select {
		case got := <-changed:
			if !slices.Equal(got, []string{s.path("a.yaml")}) {
				t.Errorf("changed: %v", got)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
		if i > 10_000 {
			t.Fatal("a file that changes all the time is never read")
		}
	}
}

// The wait begins anew with each change, ends at the longest after the first of them, and is never negative.
func TestPacer(t *testing.T) {
	p := pacer{quiet: 250 * time.Millisecond, longest: time.Second}
	start := time.Unix(1000, 0)
	for _, c := range []struct{ at, want time.Duration }{
		{0, 250}, {200, 250}, {700, 250}, {800, 200}, {1000, 0}, {1200, 0},
	} {
		if got := p.wait(start.Add(c.at * time.Millisecond)); got != c.want*time.Millisecond {
			t.Errorf("after %dms: %v, want %dms", c.at, got, c.want)
		}
	}
	p.reset()
	if got := p.wait(start.Add(2 * time.Second)); got != p.quiet {
		t.Errorf("after a look: %v, want %v", got, p.quiet)
	}
}

// What may be replaced on the way to a file: each link, the folder in the end, and the file.
func TestReplaceable(t *testing.T) {
	s := site{t, t.TempDir()}
	s.dir, _ = filepath.EvalSymlinks(s.dir)
	s.write("srv/1/conf/a.yaml", "0")
	s.link("1", "srv/current")
	s.must(os.MkdirAll(s.path("x/y"), 0o700))
	s.link("../../srv/current/conf/a.yaml", "x/y/a.yaml")
	s.link("loop", "loop")
	for name, want := range map[string][]string{
		"x/y/a.yaml": {"x/y", "x/y/a.yaml", "srv/current", "srv/1/conf", "srv/1/conf/a.yaml"},
		"x/y/absent": {"x/y", "x/y/absent"},
	} {
		for i := range want {
			want[i] = s.path(want[i])
		}
		if got := replaceable(s.path(name)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := replaceable(s.path("loop")); len(got) > 2*maxLinks {
		t.Errorf("a link to itself has %d names", len(got))
	}
}
