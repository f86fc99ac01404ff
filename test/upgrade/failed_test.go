//go:build linux

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/gateway/handover"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// Whatever becomes of the process that wants to take over, the one that serves goes on: no call fails, no connection is lost, and the next
// attempt succeeds.
func TestFailedTakeover(t *testing.T) {
	good := func(h *host) string { return h.kinds(workers(1, "0", "")) }
	for _, tt := range []struct {
		name string
		fail func(h *host)
	}{
		{"broken config", func(h *host) {
			h.write(good(h) + "  Other: {idl: nowhere.thrift}\n")
			h.fails(h.start(), "no such file")
		}},
		{"workers that do not start", func(h *host) {
			h.write(h.kinds(`{run: {command: [sh, -c, "echo no module named kinds; exit 1 # {socket}"], start_timeout: 1s}}`))
			h.fails(h.start(), "no endpoint is up")
		}},
		{"port taken by another program", func(h *host) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				h.Fatal(err)
			}
			defer l.Close()
			h.write(fmt.Sprintf("health: %q\n", l.Addr()) + good(h))
			h.fails(h.start(), "address already in use")
		}},
		{"other version", func(h *host) {
			_, err := handover.Dial(h.Context(), h.door(), handover.Peer{Version: 99, Program: "99.0", PID: os.Getpid()})
			if no := (*handover.RefusedError)(nil); !errors.As(err, &no) || !strings.Contains(no.Text, "version 99") {
				h.Errorf("it is refused with %v", err)
			}
		}},
		{"garbage", func(h *host) {
			c, err := net.Dial("unix", h.door())
			if err != nil {
				h.Fatal(err)
			}
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: thriftloom\r\n\r\n"))
			_ = c.Close()
		}},
		{"gives up before it serves", func(h *host) {
			taker, err := handover.Dial(h.Context(), h.door(), handover.Peer{PID: os.Getpid()})
			if err != nil {
				h.Fatal(err)
			}
			o, err := taker.Offer(h.Context())
			if err != nil {
				h.Fatal(err)
			}
			o.Close()
			taker.Close()
		}},
		{"killed before it serves", func(h *host) {
			h.write(h.kinds(`{run: {command: [sh, -c, "exec sleep 60 # {socket}"]}}`)) // never ready
			p := h.start()
			peertest.Eventually(h, "it takes over", func() bool { return strings.Contains(p.Output(), "taking the place") })
			h.kill(p)
		}},
		{"killed while it takes connections", func(h *host) { h.dies() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, good)
			defer h.end()
			c := h.call(peertest.ThriftPy2, "buffered", 100, 5)
			tt.fail(h)
			c.more(50)
			h.write(good(h))
			h.reload()
			h.replace()
			c.more(50)
			c.unharmed()
		})
	}
}

// dies lets a process take over that dies midway.
func (h *host) dies() {
	h.Helper()
	p := peertest.Start(h.T, "/bin/sh", "-c", fmt.Sprintf("DYING_TAKER=%q exec %q", h.door(), os.Args[0]))
	p.Wait(h, time.Minute)
	peertest.Eventually(h, "the first one notices", func() bool { return strings.Contains(h.up.Output(), "the other process has ended") })
}

// door is where another process asks for the place of the one that serves.
func (h *host) door() string { return filepath.Join(filepath.Dir(h.path), "state", "handover.sock") }

// fails checks that a program ends with an error that says why.
func (h *host) fails(p *peertest.Process, why string) {
	h.Helper()
	if code := p.Wait(h, time.Minute); code != 1 || !strings.Contains(p.Output(), why) {
		h.Errorf("exit code %d, without %q:\n%s", code, why, p.Output())
	}
	h.nothingLeft(p)
}

// kill kills a program, and returns when nothing of it is left.
func (h *host) kill(p *peertest.Process) {
	h.Helper()
	p.Signal(h, syscall.SIGKILL)
	p.Wait(h, time.Minute)
	peertest.Eventually(h, "the kernel has ended its replicas", func() bool { return len(p.Left()) == 0 })
}

// takeAndDie is a process that says it serves, and dies with the first connection on its way.
func takeAndDie(door string) {
	ctx := context.Background()
	taker, err := handover.Dial(ctx, door, handover.Peer{PID: os.Getpid()})
	if err == nil {
		if o, offered := taker.Offer(ctx); offered == nil {
			var took handover.Taken
			for _, l := range o.Listeners {
				took.Listeners = append(took.Listeners, l.ID)
			}
			err = taker.Serving(ctx, took)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// With --no-takeover a second program ends with an error that names the first one.
func TestNoTakeover(t *testing.T) {
	h := newHost(t, func(h *host) string { return h.kinds(workers(1, "0", "")) })
	defer h.end()
	first := h.up
	h.fails(h.start("--no-takeover"), fmt.Sprintf("process %d", first.PID))
	if strings.Contains(first.Output(), "another process") {
		t.Error("the gateway that was looked at logs a takeover")
	}
}

// Two configs in one folder have the same state folder by default. They are not one gateway: the second program does not take the first
// one's place, and says what to do. Where a state folder is named, it is the gateway's name, wherever its config is.
func TestOtherConfig(t *testing.T) {
	h := newHost(t, func(h *host) string {
		h.state = ""
		return h.kinds(workers(1, "0", ""))
	})
	defer h.end()
	first, folder := h.path, filepath.Join(filepath.Dir(h.path), ".thriftloom")
	h.path = filepath.Join(filepath.Dir(h.path), "other.yaml")
	h.write(h.kinds(workers(1, "0", "")))
	h.fails(h.start(), "needs a `state` folder of its own")
	h.state = fmt.Sprintf("state: %q", folder)
	h.write(h.kinds(workers(1, "0", "")))
	h.replace()
	if h.path == first {
		t.Error("the config is the first one's")
	}
}

// Where the process that serves dies, or is told to end, while another one prepares to take its place, that one serves: the sockets that it
// was offered never close.
func TestFirstProcessEndsMidway(t *testing.T) {
	for _, tt := range []struct {
		name string
		sig  syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"told to end", syscall.SIGTERM}} {
		t.Run(tt.name, func(t *testing.T) {
			slow := strings.Replace(workers(1, "0", ""), "command: [", `command: [sh, -c, 'sleep 1; exec "$@"', sh, `, 1)
			h := newHost(t, func(h *host) string { return h.kinds(slow) })
			defer h.end()
			first := h.up
			h.up = h.start()
			peertest.Eventually(h, "it takes over", func() bool { return strings.Contains(h.up.Output(), "taking the place") })
			first.Signal(h, tt.sig)
			first.Wait(h, time.Minute)
			c, err := net.Dial("tcp", h.front) // nobody is refused meanwhile
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			h.await(h.up)
			callers := h.call(peertest.ThriftPy2, "buffered", 100, 5)
			h.replace() // and so does the next
			callers.unharmed()
		})
	}
}
