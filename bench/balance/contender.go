package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/thriftloom/thriftloom/bench/child"
)

// contender is one way to stand before the workers.
type contender struct {
	name    string
	config  func(listen string, workers []string) string
	command func(t tools, file string) []string
	anew    bool // callers make a connection for each call: nothing balances a connection that stays
}

// The contenders. HAProxy sees connections and no calls: with callers that keep theirs, which is what Thrift's do, it balances when they
// connect; with maxconn 1 and such callers four would be served and the others never. So it is measured with callers of either kind.
var contenders = []contender{
	ours("slots", "balance: slots", 1),
	ours("slots, hedged", "balance: slots\n    hedge: {}", 1),
	ours("round robin", "balance: round_robin", 64),
	ours("P2C", "balance: two_choices", 64),
	haproxy("HAProxy, leastconn", "", false),
	haproxy("HAProxy, leastconn, a connection a call", "", true),
	haproxy("HAProxy, maxconn 1, a connection a call", "maxconn 1", true),
}

// ours is thriftloom with a policy. Round robin and P2C are as elsewhere: each call is sent at once, and waits at its worker.
func ours(name, balance string, slots int) contender {
	return contender{
		name: name,
		config: func(listen string, workers []string) string {
			return fmt.Sprintf(`
listen: %s
services:
  Work:
    idl: work.thrift
    upstream: {endpoints: [%s], server: threaded, slots: %d}
    %s
    timeout: %v
    methods: {work: {idempotent: true}}
`, listen, strings.Join(workers, ", "), slots, balance, patience)
		},
		command: func(t tools, file string) []string { return []string{t.thriftloom, "up", "-c", file} },
	}
}

func haproxy(name, limit string, anew bool) contender {
	return contender{
		name: name,
		config: func(listen string, workers []string) string {
			var b strings.Builder
			fmt.Fprintf(&b, `
global
  maxconn 4000
defaults
  mode tcp
  balance leastconn
  timeout connect 1s
  timeout client %[2]v
  timeout server %[2]v
  timeout queue %[2]v
  option redispatch
  retries 3
listen work
  bind %[1]s
  default-server check inter 1s fall 2 rise 1 %[3]s
`, listen, patience, limit)
			for i, w := range workers {
				fmt.Fprintf(&b, "  server w%d %s\n", i+1, w)
			}
			return b.String()
		},
		command: func(t tools, file string) []string { return []string{t.haproxy, "-db", "-f", file} },
		anew:    anew,
	}
}

// start starts the contender before workers, and returns where it listens.
func (c contender) start(ctx context.Context, t tools, workers []string) (*child.Child, string, error) {
	folder, err := os.MkdirTemp("", "thriftloom-bench-")
	if err != nil {
		return nil, "", err
	}
	listen, file := child.FreeAddress(), filepath.Join(folder, "config.yaml")
	for path, text := range map[string]string{file: c.config(listen, workers), filepath.Join(folder, "work.thrift"): idl} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, "", err
		}
	}
	p, err := child.Spawn(ctx, folder, c.command(t, file))
	if err != nil {
		return nil, "", err
	}
	if err := p.Answers(ctx, listen); err != nil {
		return nil, "", fmt.Errorf("%w: %s", err, p.Stop())
	}
	return p, listen, nil
}
