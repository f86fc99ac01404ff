//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

const supported = true

// identity is another user to run as.
type identity struct {
	name, home string
	uid, gid   int
	groups     []uint32
}

// lookUpUser returns who name is; nil for "" and for the user that this process has already.
func lookUpUser(name string) (*identity, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		var byID error
		if u, byID = user.LookupId(name); byID != nil {
			return nil, err
		}
	}
	id := identity{name: u.Username, home: u.HomeDir}
	id.uid, _ = strconv.Atoi(u.Uid) // numbers on every unix
	id.gid, _ = strconv.Atoi(u.Gid)
	if id.uid == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("only root may run a command as another user (%s)", name)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("the groups of %s: %w", name, err)
	}
	for _, g := range groups {
		n, _ := strconv.ParseUint(g, 10, 32)
		id.groups = append(id.groups, uint32(n))
	}
	return &id, nil
}

// starter starts commands on one thread of the system, which lives until close: on Linux a child is killed when the *thread* that
// started it ends (PR_SET_PDEATHSIG), and Go ends threads as it likes.
type starter struct {
	jobs chan func()
	done chan struct{}
}

func newStarter() *starter {
	s := &starter{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// close ends the thread. Call it when all children have ended.
func (s *starter) close() {
	close(s.jobs)
	<-s.done
}

// start starts a command as the leader of a process group of its own.
func (s *starter) start(sp spec) (process, error) {
	cmd := exec.Command(sp.args[0], sp.args[1:]...)
	cmd.Dir, cmd.Env = sp.dir, sp.env
	cmd.Stdout, cmd.Stderr = sp.out, sp.out
	cmd.SysProcAttr = attributes(sp.hold != nil)
	if sp.hold != nil {
		cmd.ExtraFiles = []*os.File{sp.hold}
	}
	if sp.user != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(sp.user.uid), Gid: uint32(sp.user.gid), Groups: sp.user.groups}
	}
	started := make(chan error)
	s.jobs <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	g := &group{leader: leader(cmd.Process.Pid), cmd: cmd, ended: make(chan struct{})}
	if sp.hold != nil {
		if err := tie(sp.hold, cmd.Process.Pid); err != nil {
			g.kill()
			_ = cmd.Wait()
			return nil, fmt.Errorf("the leash: %w", err)
		}
	}
	go func() {
		defer close(g.ended)
		_ = cmd.Wait() // told by ProcessState
	}()
	return g, nil
}

// group is a process group and the command that leads it.
type group struct {
	leader
	cmd   *exec.Cmd
	ended chan struct{}
}

func (g *group) exited() <-chan struct{} { return g.ended }
func (g *group) status() string          { return g.cmd.ProcessState.String() }

// leader is the process that leads a group, by its id, which is the group's too.
type leader int

func (l leader) pid() int   { return int(l) }
func (l leader) terminate() { l.signal(syscall.SIGTERM) }
func (l leader) kill()      { l.signal(syscall.SIGKILL) }

// signal reaches the whole group. A group that is gone is no error; its number cannot be another's while a member lives, and is not used
// again soon after.
func (l leader) signal(sig syscall.Signal) { _ = syscall.Kill(-int(l), sig) }

// alive says whether the group has a process that is more than an entry that nobody has waited for.
func (l leader) alive() bool {
	err := syscall.Kill(-int(l), 0)
	if errors.Is(err, syscall.ESRCH) {
		return false
	}
	return groupLives(int(l), err)
}
