//go:build linux

package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// A program that is out of descriptors goes on: who is connected gets an answer or is told what is missing, no endpoint is blamed, and
// when callers go it takes new ones, with as many descriptors as before.
func fdLimit(t *testing.T) {
	_, at, _ := peer(t, "tcp", "127.0.0.1:0")
	frontAt, health := peertest.FreePort(t), peertest.FreePort(t)
	idl, path := filepath.Join(shortDir(t), "users.thrift"), filepath.Join(shortDir(t), "thriftloom.yaml")
	write(t, idl, "service Users { void put() }")
	write(t, path, fmt.Sprintf("health: %q\nservices:\n  Users: {idl: %q, listen: %q, timeout: 20s, upstream: {endpoints: [%q], server: threaded}}\n", health, idl, frontAt, at))
	up := peertest.Start(t, program(t), "up", "-c", path)
	peertest.Await(t, frontAt, transport.Buffered, up)
	inside := connect(t, frontAt)
	if got := inside.put(); got != "OK" {
		t.Fatalf("before the limit: %s", got)
	}
	pid := strconv.Itoa(up.PID)
	before := openFiles(pid)
	limit := unix.Rlimit{Cur: uint64(before + 3), Max: 4096}
	if err := unix.Prlimit(up.PID, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	var crowd []net.Conn
	for range 20 { // the kernel takes them all, the program only as many as it has descriptors for
		c, err := net.Dial("tcp", frontAt)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		crowd = append(crowd, c)
	}
	if got := inside.put(); got != "OK" {
		t.Errorf("on the connection that is there: %s", got)
	}
	time.Sleep(4 * time.Second) // that is kept for 2.5 s, and a caller has its descriptor then
	if got := inside.put(); got != "RESOURCE_EXHAUSTED" {
		t.Errorf("at the limit: %s", got)
	}
	for _, c := range crowd {
		_ = c.Close()
	}
	peertest.Eventually(t, "calls are answered again", func() bool { return inside.put() == "OK" })
	if got := connect(t, frontAt).put(); got != "OK" {
		t.Errorf("a new caller: %s", got)
	}
	peertest.Eventually(t, "descriptors are as before", func() bool { return openFiles(pid) <= before+1 }) // and the new caller's
	if code := stop(t, up); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func stop(t *testing.T, p *peertest.Process) int {
	t.Helper()
	p.Signal(t, unix.SIGTERM)
	return p.Wait(t, time.Minute)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// outside is a caller on the operating system's network.
type outside struct {
	net.Conn
	t       *testing.T
	answers *fakepeer.Reader
}

func connect(t *testing.T, address string) *outside {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &outside{Conn: c, t: t, answers: fakepeer.NewReader(c, transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary})}
}

// put calls put and returns what became of it: "OK" or a code.
func (c *outside) put() string { return c.call("put", []byte{0}) }

func (c *outside) call(method string, body []byte) string {
	c.t.Helper()
	m, err := c.exchange(method, body)
	if err != nil {
		return err.Error()
	}
	if m.Head.Type != wire.Exception {
		return "OK"
	}
	_, text, err := binary.ParseApplication(m.Body, wire.Limits{})
	if err != nil {
		return err.Error()
	}
	code, _, _ := strings.Cut(text, ": ")
	return code
}

// exchange sends one call and reads its answer.
func (c *outside) exchange(method string, body []byte) (m transport.Message, err error) {
	if _, err := c.Write(append(binary.AppendHead(nil, wire.Head{Name: method, Seq: 7, Type: wire.Call}), body...)); err != nil {
		return m, err
	}
	return c.answers.Next()
}
