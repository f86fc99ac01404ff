package e2e

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// The program's own load generator calls real servers of both libraries, finds out how they frame, and is cut short by ctrl-c with a report
// of what it measured until then.
func TestBench(t *testing.T) {
	peertest.Require(t)
	report := regexp.MustCompile(`(?s)Kinds/echoString at \S+: (\w+), binary, 4 connections\n\n([\d,]+) calls in .* calls/s .*latency .*p99.9.*█`)
	for _, l := range peertest.Libraries[:2] {
		for _, kind := range []transport.Kind{transport.Buffered, transport.Framed} {
			t.Run(l.Name+" "+kind.String(), func(t *testing.T) {
				args := []string{"bench", "-i", peertest.File("kinds.thrift"), l.Serve(t, kind), "Kinds.echoString", `{"value": "word"}`, "--concurrency", "4"}
				for _, more := range [][]string{{"--calls", "200", "--warmup", "0s"}, {"--duration", "1h", "--rate", "300"}} {
					p := peertest.Start(t, program(t), append(args[:len(args):len(args)], more...)...)
					if more[0] == "--duration" {
						time.Sleep(2 * time.Second) // a second of it to warm up
						p.Signal(t, os.Interrupt)
					}
					code := p.Wait(t, 30*time.Second)
					found := report.FindStringSubmatch(p.Output())
					if code != 0 || found == nil || found[1] != kind.String() || more[0] == "--calls" && found[2] != "200" {
						t.Errorf("%q: exit code %d:\n%s", more, code, p.Output())
					}
				}
			})
		}
	}
}
