//go:build unix

package process

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// short returns a folder whose path leaves room for a socket's name.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A socket is in the state folder; what a dead process left there is removed, and where a living one serves the next name is taken.
func TestSocketAddress(t *testing.T) {
	run := filepath.Join(short(t), "run")
	a := &addresses{name: "users", run: run, socket: true}
	next := func(want string) {
		t.Helper()
		got, err := a.next(1, "")
		if err != nil || got != "unix:"+filepath.Join(run, want) {
			t.Fatalf("got %q, %v; want %s", got, err, want)
		}
	}
	next("users-1.sock")

	stale := listen(t, "unix", filepath.Join(run, "users-1.sock")).(*net.UnixListener)
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	next("users-1.sock")
	if _, err := os.Lstat(filepath.Join(run, "users-1.sock")); !os.IsNotExist(err) {
		t.Errorf("the stale socket is still there: %v", err)
	}

	listen(t, "unix", filepath.Join(run, "users-1.sock"))
	next("users-1.1.sock")
}

// A path that is too long for a socket is replaced by one in a short folder, which close removes.
func TestSocketAddressIsShort(t *testing.T) {
	a := &addresses{name: "users", run: filepath.Join(t.TempDir(), strings.Repeat("d", 100)), socket: true}
	got, err := a.next(7, "")
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(got, "unix:")
	if len(path) > maxSocketPath() || filepath.Base(path) != "users-7.sock" {
		t.Errorf("the path is %q", path)
	}
	_ = listen(t, "unix", path).Close()
	a.close()
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// Ports are never given twice, stay the same while they are free, and change when another program has taken them.
func TestPortAddress(t *testing.T) {
	a := &addresses{name: "users"}
	seen := map[string]bool{}
	for number := range 50 {
		address, err := a.next(number, "")
		if err != nil || seen[address] || !strings.HasPrefix(address, "127.0.0.1:") {
			t.Fatalf("got %q, %v; seen before: %v", address, err, seen[address])
		}
		seen[address] = true
		defer a.release(address)
	}
	first, err := a.next(1, "")
	if err != nil {
		t.Fatal(err)
	}
	a.release(first)
	if again, err := a.next(1, first); again != first || err != nil {
		t.Errorf("a free port became %q, %v; want %q", again, err, first)
	}
	a.release(first)
	listen(t, "tcp", first)
	other, err := a.next(1, first)
	if err != nil || other == first {
		t.Errorf("a taken port was given: %q, %v", other, err)
	}
	a.release(other)
}
