//go:build unix

package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test's program is also a service that is started with sockets.
func TestMain(m *testing.M) {
	if os.Getenv("SYSTEMD_CHILD") != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// child prints what it is handed, and what its children would be.
func child() {
	all, err := Take().Listeners()
	for _, s := range all {
		fmt.Println(s.Name, s.Addr())
	}
	if err != nil {
		fmt.Println(err)
	}
	left, _ := exec.Command("/bin/sh", "-c", "echo left:$LISTEN_PID$LISTEN_FDS$LISTEN_FDNAMES$NOTIFY_SOCKET; ls /proc/self/fd | wc -l").Output()
	fmt.Print(string(left))
}

// start runs the child as a manager would: LISTEN_PID is its own process id, or the one that is given.
func start(t *testing.T, pid, fds, names string, files ...*os.File) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=${WANT:-$$} exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "SYSTEMD_CHILD=1", "WANT="+pid, "LISTEN_FDS="+fds, "LISTEN_FDNAMES="+names, "NOTIFY_SOCKET=/nowhere")
	cmd.ExtraFiles = files
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func listener(t *testing.T, network, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, l.Addr().String()
}

// Sockets come with their names and are for this process alone: no child inherits one, or is told of it.
func TestListeners(t *testing.T) {
	tcp, at := listener(t, "tcp", "127.0.0.1:0")
	unix, path := listener(t, "unix", filepath.Join(t.TempDir(), "s"))
	none := start(t, "", "0", "")
	got := start(t, "", "2", "users:", tcp, unix)
	want := fmt.Sprintf("users %s\nunknown %s\n%s", at, path, none)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is meant for another process is left alone; what makes no sense is an error that says what.
func TestListenersRefused(t *testing.T) {
	tcp, _ := listener(t, "tcp", "127.0.0.1:0")
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tt := range []struct {
		name, pid, fds, want string
		files                []*os.File
	}{
		{"another process", "1", "1", "left:\n", []*os.File{tcp}},
		{"no number", "", "x", `LISTEN_FDS is "x"`, nil},
		{"too many", "", "100000", `LISTEN_FDS is "100000"`, nil},
		{"not a socket", "", "2", "socket unknown (descriptor 4) is nothing to listen on", []*os.File{tcp, file}},
		{"not there", "", "2", "(descriptor 4) is nothing to listen on", []*os.File{tcp}},
	} {
		if got := start(t, tt.pid, tt.fds, "", tt.files...); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Messages go to the manager's socket, by path or by an abstract name; without one, nowhere, and one that is gone is an error.
func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{filepath.Join(dir, "n"), "@thriftloom-test-" + strconv.Itoa(os.Getpid())} {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		e := Take()
		if v, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
			t.Errorf("children are told of %s", v)
		}
		if err := e.Notify("READY=1", "MAINPID=7"); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != "READY=1\nMAINPID=7" {
			t.Errorf("%s: %q, %v", name, buf[:n], err)
		}
		_ = c.Close()
		if err := e.Notify("READY=1"); err == nil {
			t.Errorf("%s: no error without a manager", name)
		}
		if got := e.Successor(); len(got) != 1 || got[0] != "NOTIFY_SOCKET="+name {
			t.Errorf("a successor is told %v", got)
		}
	}
	if err := Take().Notify("READY=1"); err != nil {
		t.Error(err)
	}
}

// The watchdog is for the process that it names, or for whoever is told of it without a name.
func TestWatchdog(t *testing.T) {
	for _, tt := range []struct {
		pid, usec string
		want      time.Duration
	}{
		{"", "", 0}, {"", "2000000", 2 * time.Second}, {strconv.Itoa(os.Getpid()), "1000", time.Millisecond}, {"1", "1000", 0},
		{"", "-5", 0}, {"", "soon", 0}, {"", "999999999999999999", 0},
	} {
		t.Setenv("WATCHDOG_PID", tt.pid)
		t.Setenv("WATCHDOG_USEC", tt.usec)
		if got := Take().Watchdog(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
