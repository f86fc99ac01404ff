package e2e

import (
	"context"
	"testing"

	"github.com/thriftloom/thriftloom/internal/peertest"
)

// A reload that changes the command replaces the replicas under load: the old ones serve until a new one has answered, and no call fails.
func TestChangedCommandReplacesReplicas(t *testing.T) {
	peertest.Require(t)
	listen := peertest.FreePort(t)
	with := func(label string) string {
		return config(listen, "upstream: {run: {command: [sh, -c, 'LABEL="+label+" exec "+peertest.ThriftPy2.Python+" "+peertest.File("server.py")+
			" {socket}'], replicas: 2}, server: threaded}")
	}
	g := peertest.StartGateway(t, with("first"))
	awaitReplicas(t, g, 2)
	old := map[int]bool{}
	for _, r := range g.Snapshot().Replicas {
		old[r.PID] = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := startSleeping(ctx, t, listen)
	peertest.Eventually(t, "200 calls", func() bool { return s.done.Load() >= 200 })
	g.Write(t, with("second"))
	if _, err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitReplicas(t, g, 2)
	for _, r := range g.Snapshot().Replicas {
		if old[r.PID] {
			t.Errorf("%s is still process %d", r.Name, r.PID)
		}
	}
	before := s.done.Load()
	peertest.Eventually(t, "200 calls more", func() bool { return s.done.Load() >= before+200 })
	cancel()
	if r := <-s.report; r.Failed != 0 {
		t.Errorf("%d of %d calls failed: %v", r.Failed, r.Calls, r.Errors)
	}
}
