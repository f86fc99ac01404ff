package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// maxSockets bounds what a manager may hand in.
const maxSockets = 256

// Socket is a socket that the manager listens on for this process.
type Socket struct {
	Name string // FileDescriptorName= of the socket unit
	net.Listener
}

// firstFD is the first descriptor behind standard error.
const firstFD = 3

// Listeners returns the sockets that are meant for this process: none where LISTEN_PID names another one. It is called once. Where it
// fails nothing stays open.
func (e Environment) Listeners() ([]Socket, error) {
	if e.values["LISTEN_PID"] != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(e.values["LISTEN_FDS"])
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS is %q: a number up to %d is wanted", e.values["LISTEN_FDS"], maxSockets)
	}
	names := strings.Split(e.values["LISTEN_FDNAMES"], ":")
	var all []Socket
	var errs []error
	for i := range n {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		f := os.NewFile(uintptr(firstFD+i), name)
		l, err := net.FileListener(f) // a copy, which no child inherits
		_ = f.Close()
		if err != nil {
			errs = append(errs, fmt.Errorf("socket %s (descriptor %d) is nothing to listen on: %w", name, firstFD+i, err))
			continue
		}
		all = append(all, Socket{name, l})
	}
	if len(errs) > 0 {
		for _, s := range all {
			_ = s.Close()
		}
		return nil, errors.Join(errs...)
	}
	return all, nil
}
