package peertest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// StartSentinel starts a Redis Sentinel that watches a master, by the name master, alone, and puts a replica in its place half a second after it
// is gone. It returns its address.
func StartSentinel(t testing.TB, master *StoreServer) string {
	t.Helper()
	address := FreePort(t)
	_, port, _ := net.SplitHostPort(address)
	host, masterPort, _ := net.SplitHostPort(master.Address)
	dir := t.TempDir()
	path := filepath.Join(dir, "sentinel.conf")
	config := fmt.Sprintf(`bind 127.0.0.1
port %s
dir %s
sentinel monitor master %s %s 1
sentinel down-after-milliseconds master 500
sentinel failover-timeout master 5000
`, port, dir, host, masterPort)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	Start(t, unpacked(t, "redis", "redis-server"), path, "--sentinel")
	awaitListener(t, "redis", address)
	return address
}
