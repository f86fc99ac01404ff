//go:build !linux

package systemd

import "time"

// Monotonic is zero: there is no manager to tell here.
func Monotonic() time.Duration { return 0 }
