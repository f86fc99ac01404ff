//go:build !windows

package netio

import "syscall"

// errRefused is what a connect gets where nobody listens.
const errRefused = syscall.ECONNREFUSED
