package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const tick = time.Second / 100 // of /proc: USER_HZ, which Linux has as 100 for every program

// cpu returns the time that a process and its children, nginx's workers, have been on a processor, in user and system mode.
func cpu(pid int) (time.Duration, error) {
	sum := time.Duration(0)
	for _, pid := range family(pid) {
		fields, err := stat(pid)
		if err != nil {
			return 0, err
		}
		for _, i := range [2]int{11, 12} { // utime and stime, counted from the state
			ticks, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum, nil
}

// stat returns the fields of /proc/PID/stat from the state on.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])), nil
}

// family returns a process and its children.
func family(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list) // the thread has ended
		for _, child := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

// count returns how many entries a folder of a process has in /proc: its descriptors, its threads.
func count(pid int, folder string) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, folder)) // none, where it has ended
	return len(all)
}

// resident returns the memory that a process and its children hold, in bytes.
func resident(pid int) (int64, error) {
	sum := int64(0)
	for _, pid := range family(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}

// machine returns the time that all processors have had, and what of it others took ("steal").
func machine() (total, stolen time.Duration, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(line)[1:] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		if i < 8 { // behind steal stand guests, which user has already
			total += time.Duration(ticks) * tick
		}
		if i == 7 {
			stolen = time.Duration(ticks) * tick
		}
	}
	return total, stolen, nil
}
