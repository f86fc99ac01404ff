// Package systemd is what a service says to, and gets from, the service manager that starts it: sockets that are open already, and
// messages of what it is doing. Without a service manager nothing happens.
//
// Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
package systemd

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// variables are those of the environment that are meant for this process alone.
var variables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}

// Environment is what the service manager has told this process.
type Environment struct {
	values map[string]string
}

// Take reads the environment and takes what is meant for this process out of it, so that no child believes it is meant.
func Take() Environment {
	e := Environment{map[string]string{}}
	for _, name := range variables {
		if value, ok := os.LookupEnv(name); ok {
			e.values[name] = value
			_ = os.Unsetenv(name)
		}
	}
	return e
}

// Successor returns the variables, as NAME=VALUE, for a process that is to take this one's place: where to send messages, and how often to
// give a sign of life. Sockets are not among them: they are handed over.
func (e Environment) Successor() (list []string) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		if value := e.values[name]; value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// sendTime bounds one message: the manager may be slow, and nobody waits for it.
const sendTime = time.Second

// Notify tells the manager of assignments: READY=1, RELOADING=1, STOPPING=1, MAINPID=7. It does nothing without a manager.
func (e Environment) Notify(assignments ...string) error {
	path := e.values["NOTIFY_SOCKET"]
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // a leading @ is an abstract name
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(sendTime))
	_, err = c.Write([]byte(strings.Join(assignments, "\n")))
	return err
}

// Watchdog returns how often the manager wants a sign of life (WATCHDOG=1), zero where it wants none of this process.
func (e Environment) Watchdog() time.Duration {
	if pid := e.values["WATCHDOG_PID"]; pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseInt(e.values["WATCHDOG_USEC"], 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}
