//go:build unix && !linux

package process

import "syscall"

func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// groupLives judges by what signal 0 to the group gave: an error other than "no such group" is how the BSDs answer for zombies.
func groupLives(_ int, err error) bool { return err == nil }
