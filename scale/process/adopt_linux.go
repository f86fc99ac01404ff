package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const adoptable = true

// tie makes hold, the reading end of a leash, the death of a process group: the kernel sends SIGKILL to the group when the last writing end
// is closed, however that comes about. The group keeps hold open; where it closes it, it is not killed.
//
// A pipe tells the owner of its reading end of events by a signal of choice (F_SETOWN, F_SETSIG, O_ASYNC); that the last writer has gone is
// one, and nobody ever writes. PR_SET_PDEATHSIG, which other replicas have, is bound to the one process that started them.
func tie(hold *os.File, group int) error {
	raw, err := hold.SyscallConn()
	if err != nil {
		return err
	}
	ctl := raw.Control(func(fd uintptr) {
		_, owner := unix.FcntlInt(fd, unix.F_SETOWN, -group)
		_, signal := unix.FcntlInt(fd, unix.F_SETSIG, int(syscall.SIGKILL))
		flags, get := unix.FcntlInt(fd, unix.F_GETFL, 0)
		_, set := unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
		err = errors.Join(owner, signal, get, set)
	})
	return errors.Join(ctl, err)
}

// stranger is a process group whose leader another process has started: how it ends is not told.
type stranger struct {
	leader
	fd    *os.File // of the leader's process
	once  sync.Once
	ended chan struct{}
}

// newStranger finds the process with this id that was started at that time.
func newStranger(pid int, at uint64) (*stranger, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	s := &stranger{leader: leader(pid), fd: os.NewFile(uintptr(fd), "process"), ended: make(chan struct{})}
	if got, err := startTime(pid); err != nil || got != at { // looked at behind pidfd_open: the id cannot become another's
		_ = s.fd.Close()
		return nil, errors.Join(err, fmt.Errorf("process %d is another one than was offered", pid))
	}
	return s, nil
}

func (s *stranger) exited() <-chan struct{} { return s.ended }
func (s *stranger) status() string {
	return "ended; another process had started it, so that nothing more is known"
}

// watch waits for the process's end in the background, until close.
func (s *stranger) watch() {
	s.once.Do(func() {
		raw, err := s.fd.SyscallConn()
		if err != nil {
			close(s.ended)
			return
		}
		go func() {
			err := raw.Read(func(fd uintptr) bool {
				n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
				return n > 0 || err != nil && err != unix.EINTR
			})
			if err == nil { // else close
				close(s.ended)
			}
		}()
	})
}

func (s *stranger) close() { _ = s.fd.Close() }

// startTime returns when a process was started, in clock ticks since the system's start.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// pid (name) state parent group …; the start is field 22, the 20th behind the name      (proc_pid_stat(5))
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}

// offer describes the process with copies of its files.
func (p *started) offer() (o Running, err error) {
	o = Running{PID: p.pid(), Address: p.address}
	if o.Started, err = startTime(o.PID); err != nil {
		return o, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return o, os.ErrClosed
	}
	if o.Output, err = duplicate(p.out); err != nil {
		return o, err
	}
	if o.Leash, err = duplicate(p.leash); err != nil {
		_ = o.Output.Close()
	}
	return o, err
}

func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if ctl := raw.Control(func(from uintptr) { fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) }); ctl != nil || err != nil {
		return nil, errors.Join(ctl, err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
