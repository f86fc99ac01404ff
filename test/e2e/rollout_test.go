package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// address and user are what versions.thrift has.
type address struct{ Street, City string }

type user struct {
	ID        int64
	Name      string
	Home      *address
	Tags      []string
	Marks     map[string]int64
	UpdatedAt int64
	Level     int32
}

// versions calls the methods of versions.thrift.
type versions struct {
	Get  func(context.Context, int64) (*user, error)
	Put  func(context.Context, *user) error
	Puts func(context.Context) (int64, error)
}

// dialVersions returns a caller.
func dialVersions(t *testing.T, at string) *versions {
	t.Helper()
	doc, err := thriftloom.Load(peertest.File("versions.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := thriftloom.ClientConfig{Addresses: []string{at}, Connections: 4, Attempts: 1, IdleExpiry: time.Hour}.Dial(doc.Service("Versions"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	v := new(versions)
	if err := thriftloom.Bind(c, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// inGo serves versions.thrift in Go, as the first version does.
type inGo struct{ puts atomic.Int64 }

func (*inGo) Ping(context.Context) error { return nil }

func (*inGo) Get(_ context.Context, id int64) (*user, error) {
	u := &user{ID: id, Name: "Ada", Home: &address{"1 Main Street", "Bremen"}, Marks: map[string]int64{}, UpdatedAt: time.Now().UnixNano(), Level: 3}
	for c := 'h'; c >= 'a'; c-- {
		u.Tags, u.Marks[string(c)] = append(u.Tags, string(c)), int64(c)
	}
	return u, nil
}

func (s *inGo) Put(context.Context, *user) error { s.puts.Add(1); return nil }

func (s *inGo) Puts(context.Context) (int64, error) { return s.puts.Load(), nil }

// startVersions runs a gateway over the first version of the service, with the next one at hand as `next`, and returns a caller. more is
// further upstreams, and rest what the service has besides.
func startVersions(t *testing.T, more, rest string) (g *peertest.Gateway, v *versions, at string) {
	t.Helper()
	peertest.Require(t)
	at = peertest.FreePort(t)
	command := func(flags string) string {
		return fmt.Sprintf(`run: {command: [%q, %q%s, "{socket}"]}, server: threaded, slots: 8`, peertest.ThriftPy2.Python, peertest.File("versions_server.py"), flags)
	}
	g = peertest.StartGateway(t, fmt.Sprintf(`
defaults: {timeout: 20s, queue: {max_wait: 20s}}
upstreams: {next: {%s}%s}
services:
  Versions: {idl: %q, listen: %q, upstream: {%s}, %s}
`, command(`, "--next"`), more, peertest.File("versions.thrift"), at, command(""), rest))
	awaitReplicas(t, g, 2)
	return g, dialVersions(t, at), at
}

// method is a method of the service as the snapshot has it.
func method(t *testing.T, g *peertest.Gateway, name string) status.Method {
	t.Helper()
	for _, m := range g.Snapshot().Services[0].Methods {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no method %s", name)
	return status.Method{}
}

// Before a deployment real calls are copied to the next version, and the report names the one field in which it answers otherwise: not the
// order of sets and maps, not a default that is left out, not a time that is to be ignored. Exceptions are compared as well. What changes
// something is not copied.
func TestMirrorNamesTheFieldThatDiffers(t *testing.T) {
	g, v, _ := startVersions(t, "", `mirror: {to: next, diff: {ignore: [updatedAt]}}, methods: {get: {idempotent: true}, puts: {upstream: next, mirror: off}}`)
	const users, nobody = 30, 5
	for id := range int64(users) {
		u, err := v.Get(t.Context(), id)
		if err != nil || u.Home.City != "Bremen" {
			t.Fatalf("%+v, %v", u, err)
		}
		if err := v.Put(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for id := range int64(nobody) {
		if _, err := v.Get(t.Context(), 400+id); err == nil || !strings.Contains(err.Error(), "NotFound") {
			t.Fatalf("nobody: %v", err)
		}
	}
	peertest.Eventually(t, "all copies are compared", func() bool {
		m := method(t, g, "get").Mirror
		return m.Same+m.Differ == users+nobody
	})
	m := method(t, g, "get").Mirror
	if m.Same != nobody || m.Differ != users || len(m.Paths) != 1 || m.Paths[0] != (status.MirrorPath{Path: "success.home.city", Calls: users}) {
		t.Errorf("the report is %+v", m)
	}
	if n, err := v.Puts(t.Context()); err != nil || n != 0 {
		t.Errorf("%d puts were copied, %v", n, err)
	}
}

// A mirror may be written in another language, and speak another protocol over another transport.
func TestMirrorInAnotherLanguage(t *testing.T) {
	peertest.Require(t)
	doc, err := thriftloom.Load(peertest.File("versions.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(doc.Service("Versions"), &inGo{})
	if err != nil {
		t.Fatal(err)
	}
	g, v, _ := startVersions(t, fmt.Sprintf(", golang: {endpoints: [%q], server: concurrent, transport: framed, protocol: compact}", peertest.ServeGo(t, s)),
		`mirror: {to: golang, diff: {ignore: [updatedAt]}}, methods: {get: {idempotent: true}}`)
	for id := range int64(20) {
		if _, err := v.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	peertest.Eventually(t, "all copies are compared", func() bool { m := method(t, g, "get").Mirror; return m.Same+m.Differ == 20 })
	if m := method(t, g, "get").Mirror; m.Same != 20 {
		t.Errorf("the report is %+v", m)
	}
}

// A canary by an argument keeps each user at one version, and has about the share of users that it says.
func TestCanaryKeepsUsersTogether(t *testing.T) {
	g, v, _ := startVersions(t, "", `canary: {to: next, percent: 25, by: {argument: id}}, methods: {get: {idempotent: true}}`)
	version := map[int64]string{}
	for range 3 {
		for id := range int64(200) {
			u, err := v.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if was, seen := version[id]; seen && was != u.Home.City {
				t.Fatalf("user %d was at the version of %q, and is at that of %q", id, was, u.Home.City)
			}
			version[id] = u.Home.City
		}
	}
	moved := int64(0)
	for _, city := range version {
		if city == "bremen" {
			moved++
		}
	}
	if c := method(t, g, "get").Canary; moved < 25 || moved > 75 || c.Calls != 3*moved || c.MainCalls != 3*(200-moved) {
		t.Errorf("%d of 200 users are at the next version; the report is %+v", moved, c)
	}
}

// faultPython calls get(1) with ThriftPy2, and prints which exception it got.
const faultPython = `
import sys, thriftpy2
from thriftpy2.rpc import make_client
idl = thriftpy2.load(sys.argv[1], module_name="versions_thrift")
host, port = sys.argv[2].split(":")
client = make_client(idl.Versions, host, int(port), timeout=20000)
try:
    print(client.get(1))
except idl.NotFound as e:
    print("NotFound", e.id, e.message)
client.ping()
`

// A ThriftPy2 client meets a declared exception on purpose as it meets a real one, and goes on using its connection.
func TestThriftPyMeetsAnExceptionOnPurpose(t *testing.T) {
	_, _, at := startVersions(t, "", `faults: {exception: {type: NotFound, value: {id: 77, message: on purpose}}, only: {caller: [127.0.0.1]}}`)
	out, err := exec.Command(peertest.ThriftPy2.Python, "-c", faultPython, peertest.File("versions.thrift"), at).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "NotFound 77 on purpose" {
		t.Errorf("%s, %v", out, err)
	}
}
