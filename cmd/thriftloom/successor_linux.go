package main

import (
	"os"
	"os/exec"
	"syscall"
)

// successorSignal lets the gateway start a process that takes its place: the program that stands where this one was started from, with the
// same arguments. Under a service manager it is what keeps the new process in the service's own group.
const successorSignal = syscall.SIGUSR2

// startSuccessor starts the process that is to take this one's place. It does not wait.
func (r *running) startSuccessor() {
	if os.Getpid() == 1 {
		r.log.Error("process 1 cannot be replaced: its container ends with it; replace the container")
		return
	}
	path, err := os.Executable()
	if err != nil {
		r.log.Error("no process is started to take over", "error", err)
		return
	}
	cmd := exec.Command(path, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), r.manager.Successor()...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		r.log.Error("no process is started to take over", "program", path, "error", err)
		return
	}
	r.log.Info("a process is started to take over", "process", cmd.Process.Pid, "program", path)
	go func() { // it outlives this process, where all goes well
		if err := cmd.Wait(); err != nil {
			r.log.Error("the process that was to take over has ended", "process", cmd.Process.Pid, "error", err)
		}
	}()
}
