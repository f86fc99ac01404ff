//go:build linux

package upgrade

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// manager is what systemd is to a service: it listens for it, starts it, and hears what it says.
type manager struct {
	*testing.T
	host   *host
	socket string // for messages
	front  *os.File
	log    string // of all processes, which outlives them

	mu    sync.Mutex
	heard []string
}

func newManager(t *testing.T) *manager {
	peertest.Require(t)
	dir := filepath.Dir(strings.TrimPrefix(peertest.Socket(t), "unix:"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	m := &manager{T: t, socket: filepath.Join(dir, "notify"), front: f, log: filepath.Join(dir, "log")}
	m.host = &host{T: t, path: filepath.Join(dir, "thriftloom.yaml"), state: "state: state", front: l.Addr().String(), admin: peertest.FreePort(t)}
	m.host.write(m.host.kinds(workers(1, "0", "")))
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, string(buf[:n]))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return m
}

// start starts the service with its socket.
func (m *manager) start() *peertest.Process {
	m.Helper()
	path, err := program()
	if err != nil {
		m.Fatal(err)
	}
	log, err := os.OpenFile(m.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		m.Fatal(err)
	}
	defer log.Close()
	p := peertest.StartWith(m.T, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.socket, "LISTEN_FDS=1", "LISTEN_FDNAMES=front", "WATCHDOG_USEC=200000")
		cmd.ExtraFiles = []*os.File{m.front}
		cmd.Stdout, cmd.Stderr = log, log // no pipe: the next process goes on with it
	}, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" up -c "$1"`, path, m.host.path)
	m.Cleanup(func() {
		if text, _ := os.ReadFile(m.log); m.Failed() {
			m.Logf("the service wrote:\n%s", text)
		}
	})
	return p
}

// hears waits for a message that begins so, behind those that were waited for before, and returns it.
func (m *manager) hears(prefix string) (message string) {
	m.Helper()
	peertest.Eventually(m, "the service says "+prefix, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, s := range m.heard {
			if strings.HasPrefix(s, prefix) {
				message, m.heard = s, m.heard[i+1:]
				return true
			}
		}
		return false
	})
	return message
}

// A service manager that listens for the gateway is told of its life, and a restart refuses nobody: who connects while it is down waits.
func TestServiceManager(t *testing.T) {
	m := newManager(t)
	p := m.start()
	m.hears("READY=1")
	m.hears("WATCHDOG=1")
	established := rawDial(t, m.host.front)
	established.call("ping", 0, nil)
	m.host.reload()
	if got := m.hears("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("it says %q", got)
	}
	m.hears("READY=1")
	p.Signal(t, syscall.SIGHUP)
	m.hears("RELOADING=1")
	m.hears("READY=1")

	p.Signal(t, syscall.SIGTERM)
	m.hears("STOPPING=1")
	established.closed() // between two calls: what a restart cannot keep
	waits := rawDial(t, m.host.front)
	waits.write(waits.message("ping", nil))
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	also := rawDial(t, m.host.front) // nobody runs
	also.write(also.message("ping", nil))
	p = m.start()
	waits.answer(1, 0)
	also.answer(1, 0)
	m.hears("READY=1")
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t, time.Minute)
}

// SIGUSR2 lets the service replace itself: the manager learns the new main process, which it goes on to hear from, and no caller notices.
func TestServiceReplacesItself(t *testing.T) {
	m := newManager(t)
	p := m.start()
	m.hears("READY=1")
	c := m.host.call(peertest.ThriftPy2, "buffered", 100, 5)
	p.Signal(t, syscall.SIGUSR2)
	main, err := strconv.Atoi(strings.TrimPrefix(m.hears("MAINPID="), "MAINPID="))
	if err != nil || main == p.PID {
		t.Fatalf("the new process is %d, %v", main, err)
	}
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Errorf("the first process has exited with %d", code)
	}
	m.hears("READY=1")
	m.hears("WATCHDOG=1")
	c.more(50)
	c.unharmed()
	m.mu.Lock()
	for _, s := range m.heard {
		if strings.HasPrefix(s, "STOPPING") {
			t.Error("the manager was told that the service stops")
		}
	}
	m.mu.Unlock()
	if err := syscall.Kill(main, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.hears("STOPPING=1")
	peertest.Eventually(t, "nothing is left", func() bool { return len(p.Left()) == 0 })
	if c, err := net.Dial("tcp", m.host.front); err != nil {
		t.Errorf("the manager's socket was closed: %v", err)
	} else {
		_ = c.Close()
	}
	if text, _ := os.ReadFile(m.log); strings.Contains(string(text), fmt.Sprintf(`"process":%d,"error"`, main)) {
		t.Error("an error was logged of the process that took over")
	}
}
