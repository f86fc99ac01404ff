package systemd

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic is the system's monotonic clock, by which a manager tells a reload from the one before.
func Monotonic() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
