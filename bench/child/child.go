// Package child starts the programs that are measured, and ends them.
package child

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Child is a process that was started, with a folder of its own.
type Child struct {
	PID    int
	folder string
	ended  chan error
	said   bytes.Buffer
}

// Spawn starts a command in a folder that goes with it, as the leader of a group.
func Spawn(ctx context.Context, folder string, command []string) (*Child, error) {
	c := &Child{folder: folder, ended: make(chan error, 1)}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = folder
	cmd.Stderr = &limited{to: &c.said, left: 4 << 10}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.PID = cmd.Process.Pid
	go func() { c.ended <- cmd.Wait() }()
	return c, nil
}

// Answers waits until something accepts at address.
func (c *Child) Answers(ctx context.Context, address string) error {
	network, at := Place(address)
	for range 200 {
		select {
		case err := <-c.ended:
			c.ended <- err
			return fmt.Errorf("ended: %v", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if nc, err := net.Dial(network, at); err == nil {
			return nc.Close()
		}
	}
	return fmt.Errorf("nobody answers at %s", address)
}

// Signal sends the process and its children a signal.
func (c *Child) Signal(s syscall.Signal) error { return syscall.Kill(-c.PID, s) }

// Stop kills the process and its children, removes the folder, and returns what it said.
func (c *Child) Stop() string {
	_ = c.Signal(syscall.SIGKILL)
	<-c.ended
	_ = os.RemoveAll(c.folder)
	return c.said.String()
}

// limited keeps the first bytes that are written to it.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	if _, err := l.to.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Place parts an address, host:port or unix:path, into what net takes.
func Place(address string) (network, at string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

var ports atomic.Int64 // that were asked for

// FreeAddress returns an address of this machine that nobody listens at, below the ports that the system gives out by itself.
func FreeAddress() string {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+(os.Getpid()+int(ports.Add(1)))%20_000)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
}
