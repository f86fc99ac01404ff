package peertest

import (
	"fmt"
	"net"
	"os/exec"
	osuser "os/user"
	"testing"
)

// EtcdServer is a real etcd of one member that answers at Address until the test ends.
type EtcdServer struct {
	Address string
	t       testing.TB
	path    string
	args    []string
	now     *Process
}

// StartEtcd starts etcd.
func StartEtcd(t testing.TB) *EtcdServer {
	t.Helper()
	e := &EtcdServer{Address: FreePort(t), t: t, path: unpacked(t, "etcd", "etcd")}
	at, peer := "http://"+e.Address, "http://"+FreePort(t)
	e.args = []string{
		"--name", "a", "--data-dir", t.TempDir(), "--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "a=" + peer, "--log-level", "warn",
	}
	e.Start()
	return e
}

// Start starts it anew, with what it has kept.
func (e *EtcdServer) Start() {
	e.t.Helper()
	e.now = Start(e.t, e.path, e.args...)
	awaitListener(e.t, "etcd", e.Address)
}

// Stop kills it.
func (e *EtcdServer) Stop() { e.now.Kill() }

func awaitListener(t testing.TB, name, address string) {
	t.Helper()
	Eventually(t, name+" listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Dnsmasq returns the path of dnsmasq.
func Dnsmasq(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"dnsmasq", "/usr/sbin/dnsmasq"} { // not everybody's PATH has sbin
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require(t, fmt.Errorf("there is no dnsmasq"))
	return ""
}

// DNS is a dnsmasq that answers at Address, over UDP and TCP, until the test ends.
type DNS struct {
	Address string
	t       testing.TB
	path    string
	now     *Process
}

// StartDNS starts dnsmasq with these records, each an option of it: host-record=users.internal,10.0.0.1,60. What is not among them below
// .internal does not exist.
func StartDNS(t testing.TB, records ...string) *DNS {
	t.Helper()
	d := &DNS{Address: FreePort(t), t: t, path: Dnsmasq(t)}
	d.Set(records...)
	return d
}

// Stop kills it: who asks is refused.
func (d *DNS) Stop() {
	if d.now != nil {
		d.now.Kill()
		d.now = nil
	}
}

// Set makes it answer with other records from now on. It is away for a moment.
func (d *DNS) Set(records ...string) {
	d.t.Helper()
	d.Stop()
	_, port, _ := net.SplitHostPort(d.Address)
	user := "root"
	if u, err := osuser.Current(); err == nil {
		user = u.Username
	}
	args := []string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll", "--bind-interfaces", "--listen-address=127.0.0.1",
		"--port=" + port, "--pid-file", "--user=" + user, "--local=/internal/", "--log-facility=-",
	}
	for _, r := range records {
		args = append(args, "--"+r)
	}
	d.now = Start(d.t, d.path, args...)
	awaitListener(d.t, "dnsmasq", d.Address)
}
