package peertest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// unpacked returns the path of a program: that of the system, or the one that setup.sh has unpacked in a folder.
func unpacked(t testing.TB, folder, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	path := filepath.Join(cacheDir(), "thriftloom", folder, "usr/bin", program)
	_, err := os.Stat(path)
	require(t, err)
	return path
}

// RedisCLI returns the path of redis-cli.
func RedisCLI(t testing.TB) string { return unpacked(t, "redis", "redis-cli") }

// StoreServer is a real Redis or memcached that answers at Address until the test ends. It keeps nothing over a restart.
type StoreServer struct {
	Address string
	t       testing.TB
	name    string
	path    string
	args    []string
	now     *Process
}

// StartRedis starts Redis, with more options where they are given: "--maxmemory", "10mb".
func StartRedis(t testing.TB, options ...string) *StoreServer {
	t.Helper()
	s := &StoreServer{Address: FreePort(t), t: t, name: "redis", path: unpacked(t, "redis", "redis-server")}
	_, port, _ := net.SplitHostPort(s.Address)
	s.args = append([]string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--daemonize", "no", "--loglevel", "warning",
	}, options...)
	s.Start()
	return s
}

// StartRedisCluster starts a Redis Cluster of three nodes, which have a third of the slots each.
func StartRedisCluster(t testing.TB) []*StoreServer {
	t.Helper()
	var nodes []*StoreServer
	args := []string{"--cluster", "create"}
	for range 3 {
		_, bus, _ := net.SplitHostPort(FreePort(t)) // by default 10,000 above the other one, where connections that go out are
		s := StartRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000", "--cluster-port", bus)
		nodes, args = append(nodes, s), append(args, s.Address)
	}
	cli := RedisCLI(t)
	if out, err := exec.Command(cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range nodes {
		_, port, _ := net.SplitHostPort(s.Address)
		Eventually(t, "the cluster is whole", func() bool {
			out, _ := exec.Command(cli, "-p", port, "cluster", "info").Output()
			return string(out[:min(len(out), 16)]) == "cluster_state:ok"
		})
	}
	return nodes
}

// StartMemcached starts memcached, with more options where they are given: "-m", "10".
func StartMemcached(t testing.TB, options ...string) *StoreServer {
	t.Helper()
	s := &StoreServer{Address: FreePort(t), t: t, name: "memcached", path: unpacked(t, "memcached", "memcached")}
	_, port, _ := net.SplitHostPort(s.Address)
	s.args = append([]string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1", "-u", "root"}, options...)
	s.Start()
	return s
}

// Start starts it anew, empty.
func (s *StoreServer) Start() {
	s.t.Helper()
	s.now = Start(s.t, s.path, s.args...)
	awaitListener(s.t, s.name, s.Address)
}

// Kill ends it at once.
func (s *StoreServer) Kill() { s.now.Kill() }

// Process returns the one that runs.
func (s *StoreServer) Process() *Process { return s.now }
