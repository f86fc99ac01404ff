package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// attributes makes a process group, whose leader the kernel kills when this process ends, however that comes about; or, on a leash, when
// the last process ends that holds that.
func attributes(leashed bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if !leashed {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

// groupLives looks for a process of the group that is not a zombie. Zombies answer signals too, and stay for ever where the first
// process of a container does not wait for orphans.
func groupLives(group int, _ error) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true // no /proc: take the signal's word
	}
	want := strconv.Itoa(group)
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent group …; the name may hold anything      (proc_pid_stat(5))
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) > 2 && string(f[2]) == want && !bytes.ContainsAny(f[0], "ZXx") {
			return true
		}
	}
	return false
}
