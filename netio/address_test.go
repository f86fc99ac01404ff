package netio_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/thriftloom/thriftloom/netio"
)

// An address is host:port or unix:/path; anything else is refused with a text that names it.
func TestParseAddress(t *testing.T) {
	long := "/" + strings.Repeat("p", 106)
	tests := []struct{ address, network, addr, err string }{
		{"127.0.0.1:6000", "tcp", "127.0.0.1:6000", ""},
		{"users.internal:6000", "tcp", "users.internal:6000", ""},
		{"[::1]:6000", "tcp", "[::1]:6000", ""},
		{":0", "tcp", ":0", ""},
		{"unix:/run/users.sock", "unix", "/run/users.sock", ""},
		{"unix:" + long, "unix", long, ""},
		{"unix:" + long + "p", "", "", "path is 108 bytes, at most 107"},
		{"unix:", "", "", "no path"},
		{"", "", "", "want host:port or unix:/path"},
		{"/run/users.sock", "", "", "want host:port or unix:/path"},
		{"localhost", "", "", "want host:port or unix:/path"},
		{"http://localhost:80", "", "", "want host:port or unix:/path"},
		{"localhost:http", "", "", `port "http" is no number from 0 to 65535`},
		{"localhost:65536", "", "", `port "65536" is no number from 0 to 65535`},
	}
	for _, test := range tests {
		network, addr, err := netio.ParseAddress(test.address)
		if network != test.network || addr != test.addr || (err == nil) != (test.err == "") {
			t.Errorf("%q: %q, %q, %v", test.address, network, addr, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), test.address)) {
			t.Errorf("%q: error %q, want %q", test.address, err, test.err)
		}
	}
}

// A dead server's socket file is taken over, a living one's and a plain file are not.
func TestListenTakesOverDeadSocketsOnly(t *testing.T) {
	path := socketPath(t)
	address := "unix:" + path
	living, err := netio.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := netio.Listen(t.Context(), address); err == nil {
		_ = l.Close()
		t.Error("a living server's socket was taken over")
	}
	living.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = living.Close()
	next, err := netio.Listen(t.Context(), address)
	if err != nil {
		t.Fatalf("a dead server's socket: %v", err)
	}
	_ = next.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file after Close: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := netio.Listen(t.Context(), address); err == nil {
		_ = l.Close()
		t.Error("a plain file was taken over")
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Error("a plain file was removed")
	}
}

// Dial starts the connection on the engine, over either kind of address, and says what is wrong with one.
func TestDial(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + socketPath(t)} {
		l, err := netio.Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().Network() == "tcp" {
			address = l.Addr().String()
		}
		closed := make(closedTo, 1)
		c, err := netio.Dial(t.Context(), netio.NewPortable(), address, netio.Options{}, func(netio.Conn) netio.Receiver { return closed })
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != l.Addr().String() {
			t.Errorf("dialled %s, want %s", got, l.Addr())
		}
		c.Finish()
		if err := <-closed; err != nil {
			t.Errorf("Closed(%v)", err)
		}
	}
	if _, err := netio.Dial(t.Context(), netio.NewPortable(), "nowhere", netio.Options{}, nil); err == nil {
		t.Error("dialled an address without a port")
	}
}
