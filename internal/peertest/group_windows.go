package peertest

import (
	"os"
	"os/exec"
)

// There are no process groups on Windows, where no real peer runs either: the peer itself is killed, and what it started is not.

func ownGroup(*exec.Cmd) {}

func kill(pid int) {
	if p, err := os.FindProcess(max(pid, -pid)); err == nil {
		_ = p.Kill()
	}
}
