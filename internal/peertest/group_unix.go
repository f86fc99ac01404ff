//go:build unix

package peertest

import (
	"os/exec"
	"syscall"
)

// ownGroup makes cmd the first of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// kill kills a process, or with a number below zero a group.
func kill(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
