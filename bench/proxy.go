package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/thriftloom/thriftloom/bench/child"
)

// link says what a proxy stands between.
type link struct {
	listen, upstream string // host:port; upstream may be unix:path
	framed           bool
	concurrent       bool // the upstream answers in any order
	idl              string
}

// proxy is one of those that are measured.
type proxy struct {
	name    string
	version func(tools) (string, error)
	// config makes the text of its config file, and command what starts it with that file.
	config  func(link) string
	command func(t tools, file string) []string
	pairs   bool // each caller has a connection to the upstream
}

// tools are the programs that are measured: paths.
type tools struct{ thriftloom, envoy, haproxy, nginx string }

func (t tools) proxies() []proxy {
	ours := func(engine, more string) proxy {
		return proxy{
			name:    "ours, " + engine,
			version: func(t tools) (string, error) { return firstLine(t.thriftloom, "version") },
			config:  func(l link) string { return thriftloomConfig(l, engine, more) },
			command: func(t tools, file string) []string { return []string{t.thriftloom, "up", "-c", file} },
		}
	}
	everything := ours("epoll", everythingOn)
	everything.name = "ours, epoll, everything on"
	return []proxy{
		{
			name:    "HAProxy",
			version: func(t tools) (string, error) { return firstLine(t.haproxy, "-v") },
			config:  haproxyConfig,
			command: func(t tools, file string) []string { return []string{t.haproxy, "-db", "-f", file} },
			pairs:   true,
		},
		{
			name:    "nginx",
			version: func(t tools) (string, error) { return firstLine(t.nginx, "-v") },
			config:  nginxConfig,
			command: func(t tools, file string) []string { return []string{t.nginx, "-c", file} },
			pairs:   true,
		},
		{
			name:    "Envoy",
			version: func(t tools) (string, error) { return firstLine(t.envoy, "--version") },
			config:  envoyConfig,
			command: func(t tools, file string) []string {
				return []string{t.envoy, "-c", file, "--concurrency", "2", "--log-level", "error", "--disable-hot-restart"}
			},
		},
		ours("net", ""), ours("epoll", ""), everything,
	}
}

// firstLine returns the first line that a command prints.
func firstLine(command ...string) (string, error) {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", command[0], err, line)
	}
	return line, nil
}

func haproxyConfig(l link) string {
	return fmt.Sprintf(`
global
  maxconn %d
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen bench
  bind %s
  server a %s
`, connections(), l.listen, strings.Replace(l.upstream, "unix:", "unix@", 1))
}

// connections is how many callers a proxy may have that needs two descriptors for each.
func connections() int {
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	return int(files.Cur)*9/20 - 100
}

func nginxConfig(l link) string {
	return fmt.Sprintf(`
daemon off;
pid /dev/null;
error_log /dev/null;
worker_processes 2;
include /etc/nginx/modules-enabled/*stream*.conf;
events { worker_connections 30000; }
stream {
  server { listen %s reuseport backlog=4096; proxy_pass %s; proxy_timeout 300s; tcp_nodelay on; }
}
`, l.listen, l.upstream)
}

func envoyConfig(l link) string {
	kind := "UNFRAMED"
	if l.framed {
		kind = "FRAMED"
	}
	return fmt.Sprintf(`
static_resources:
  listeners:
  - name: calls
    address: %[1]s
    filter_chains:
    - filters:
      - name: envoy.filters.network.thrift_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.thrift_proxy.v3.ThriftProxy
          stat_prefix: bench
          transport: %[3]s
          protocol: BINARY
          payload_passthrough: true
          route_config:
            name: all
            routes:
            - match: { method_name: "" }
              route: { cluster: upstream }
  clusters:
  - name: upstream
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: upstream
      endpoints: [{ lb_endpoints: [{ endpoint: { address: %[2]s } }] }]
    circuit_breakers: { thresholds: [{ max_connections: 30000, max_pending_requests: 30000, max_requests: 30000 }] }
    typed_extension_protocol_options:
      envoy.filters.network.thrift_proxy:
        "@type": type.googleapis.com/envoy.extensions.filters.network.thrift_proxy.v3.ThriftProtocolOptions
        transport: %[3]s
        protocol: BINARY
`, envoyAddress(l.listen), envoyAddress(l.upstream), kind)
}

func envoyAddress(address string) string {
	if network, at := child.Place(address); network == "unix" {
		return fmt.Sprintf("{ pipe: { path: %q } }", at)
	}
	host, port, _ := strings.Cut(address, ":")
	return fmt.Sprintf("{ socket_address: { address: %s, port_value: %s } }", host, port)
}

func thriftloomConfig(l link, engine, more string) string {
	kind, server := "buffered", "threaded"
	if l.framed {
		kind = "framed"
	}
	if l.concurrent {
		server = "concurrent"
	}
	return fmt.Sprintf(`
engine: %s
processors: auto
listen: [{address: %q, max_connections: 30000}]
services:
  Echo:
    idl: echo.thrift
    upstream:
      endpoints: [%q]
      server: %s
      transport: %s
      slots: 1024
%s`, engine, l.listen, l.upstream, server, kind, more)
}

// everythingOn are the layers and outputs that a service can have and the bare one has not.
const everythingOn = `
    timeout: 5s
    allow: [127.0.0.0/8]
    retry: {attempts: 3}
    required_fields: warn
    methods: {echo: {idempotent: true}}
health: 127.0.0.1:0
`

// start starts p for l and waits until it answers.
func start(ctx context.Context, t tools, p proxy, l link) (*child.Child, error) {
	folder, err := os.MkdirTemp("", "thriftloom-bench-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "config.yaml")
	for path, text := range map[string]string{file: p.config(l), filepath.Join(folder, "echo.thrift"): l.idl} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	r, err := child.Spawn(ctx, folder, p.command(t, file))
	if err != nil {
		return nil, err
	}
	if err := r.Answers(ctx, l.listen); err != nil {
		said := r.Stop()
		return nil, fmt.Errorf("%s: %w: %s", p.name, err, said)
	}
	return r, nil
}
