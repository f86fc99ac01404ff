package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// cut is with what calls fail that were at work on a server which has died.
var cut = []string{"HANDLER_FAILED", "UNAVAILABLE"}

// card is a fault that can be drawn: it breaks something, and repairs what does not repair itself.
type card struct {
	name    string
	service string // as Fault.Service
	play    func(r *rand.Rand) error
}

func (w *world) deck() []card {
	return []card{
		{"kill -9 of a replica", "Once", func(r *rand.Rand) error { return w.signalReplica(r, syscall.SIGKILL) }},
		{"SIGTERM to a replica", "Once", func(r *rand.Rand) error { return w.signalReplica(r, syscall.SIGTERM) }},
		{"a replica stands still for 2 s", "", w.stopReplica},
		{"a standalone server restarts at its port", "OldOnce", w.restartOld},
		{"a standalone server stands still for 2 s", "", w.stopOld},
		{"reload with other policies", "", w.reload},
		{"garbage and half requests", "", w.garbage},
		{"a reader that does not read", "", w.slowReader},
		{"300 connections at once", "", w.flood},
		{"undeclared exceptions", "", w.crash},
		{"oneways that raise", "", w.stumble},
		{"callers cut in mid-call", "", w.cutCallers},
	}
}

// play breaks something, repairs it, and checks that the program is well again soon.
func (w *world) play(c card, r *rand.Rand) {
	f := Fault{Name: c.name, Start: time.Now(), Service: c.service, Codes: cut, AtMost: slots}
	f.Err = c.play(r)
	f.End = time.Now()
	if f.Err != nil {
		w.complain("%s: %v", c.name, f.Err)
	}
	why := ""
	for end := f.End.Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if why = w.ill(); why == "" {
			break
		}
	}
	if why != "" {
		w.complain("8 s after %s: %s", c.name, why)
	}
	w.faults = append(w.faults, f)
}

func (w *world) replica(r *rand.Rand) (pid int, err error) {
	all := w.snapshot().Replicas
	if len(all) == 0 {
		return 0, fmt.Errorf("there are no replicas")
	}
	pid = all[r.IntN(len(all))].PID
	if pid <= 0 {
		return 0, fmt.Errorf("the replica has no process")
	}
	return pid, nil
}

func (w *world) signalReplica(r *rand.Rand, s syscall.Signal) error {
	pid, err := w.replica(r)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

func (w *world) stopReplica(r *rand.Rand) error {
	pid, err := w.replica(r)
	if err != nil {
		return err
	}
	return standStill(pid)
}

func standStill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	return syscall.Kill(pid, syscall.SIGCONT)
}

func (w *world) restartOld(r *rand.Rand) error {
	i := r.IntN(len(w.old))
	w.servers[i].Signal(w, syscall.SIGKILL)
	w.servers[i].Wait(w, time.Minute)
	w.serveOld(i)
	return nil
}

func (w *world) stopOld(r *rand.Rand) error { return standStill(w.servers[r.IntN(len(w.old))].PID) }

func (w *world) reload(*rand.Rand) error {
	before := w.metrics()["thriftloom_config_last_reload_timestamp_seconds"]
	w.writeConfig()
	w.up.Signal(w, syscall.SIGHUP)
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		if m := w.metrics(); m["thriftloom_config_last_reload_timestamp_seconds"] > before && m["thriftloom_config_last_reload_successful"] == 1 {
			return nil
		}
	}
	return fmt.Errorf("the config was not taken over")
}

// raw opens n connections to a service and hands them to f, one at a time, and closes them after a second.
func (w *world) raw(label string, n int, f func(i int, c net.Conn)) error {
	for i := range n {
		c, err := net.Dial("tcp", w.services[label])
		if err != nil {
			return err
		}
		defer c.Close()
		f(i, c)
	}
	time.Sleep(time.Second)
	return nil
}

// message is a call with an i32.
func message(method string, seq, n int32) []byte {
	b := binary.AppendHead(nil, wire.Head{Name: method, Type: wire.Call, Seq: seq})
	return binary.AppendStop(binary.AppendI32(binary.AppendField(b, wire.I32, 1), n))
}

func (w *world) garbage(r *rand.Rand) error {
	return w.raw(labels[r.IntN(len(labels))], 40, func(i int, c net.Conn) {
		b := message("sleep", 1, 5)
		switch i % 4 {
		case 0:
			b = b[:1+r.IntN(len(b)-1)]
		case 1:
			b = make([]byte, 1+r.IntN(2000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		case 2:
			b = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		case 3:
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		_, _ = c.Write(b)
	})
}

func (w *world) slowReader(r *rand.Rand) error {
	c, err := net.Dial("tcp", w.services[labels[r.IntN(len(labels))]])
	if err != nil {
		return err
	}
	defer c.Close()
	for seq := range int32(8) {
		if _, err := c.Write(message("big", seq, 500_000)); err != nil {
			return err
		}
	}
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.ReadFull(c, make([]byte, 4096)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) flood(r *rand.Rand) error {
	return w.raw(labels[r.IntN(len(labels))], 300, func(int, net.Conn) {})
}

// crash lets handlers raise what the IDL does not declare. Each caller is told so, and nothing else.
func (w *world) crash(r *rand.Rand) error {
	label := []string{"Once", "OldOnce"}[r.IntN(2)]
	k, client := w.dial(label, 4)
	defer client.Close()
	var mu sync.Mutex
	var wrong error
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 15 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				_, err := k.Crash(ctx, "on purpose")
				cancel()
				if err == nil || !strings.HasPrefix(said(err), "HANDLER_FAILED: ") {
					mu.Lock()
					wrong = fmt.Errorf("a call of %s that raises: %w", label, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return wrong
}

func (w *world) stumble(r *rand.Rand) error {
	k, client := w.dial([]string{"Once", "OldOnce"}[r.IntN(2)], 4)
	defer client.Close()
	for i := range 30 {
		if err := k.Stumble(context.Background(), fmt.Sprint("stumble-", i)); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)
	return nil
}

func (w *world) cutCallers(r *rand.Rand) error {
	return w.raw(labels[r.IntN(len(labels))], 20, func(i int, c net.Conn) {
		_, _ = c.Write(message("sleep", 1, 300))
		if i%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0) // a reset
		}
		time.AfterFunc(time.Duration(r.IntN(300))*time.Millisecond, func() { _ = c.Close() })
	})
}
