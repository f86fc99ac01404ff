package hostile

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/internal/testcert"
)

// openTLSDoor is openDoor for callers that speak TLS.
func openTLSDoor(t *testing.T, listener string) *door {
	ca, dir := testcert.NewCA(t, "test"), t.TempDir()
	cert, key := ca.Sign(t, []string{"127.0.0.1"}).Write(t, dir, "server")
	d := openDoor(t, "", fmt.Sprintf("tls: {cert_file: %q, key_file: %q}, %s", cert, key, listener))
	d.tls = &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
	return d
}

// Behind TLS each hostile row ends as it does without.
func TestDoorBehindTLS(t *testing.T) {
	d := openTLSDoor(t, "")
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range forms {
				w := r.buffered
				if f.kind == forms[2].kind {
					w = r.framed
				}
				if w != nowhere {
					t.Run(f.String(), func(t *testing.T) { d.throw(t, r, f, w) })
				}
			}
		})
	}
}

// What is no handshake on a TLS port is let go of, reaches no server and is in nobody's way: each row as plain Thrift, and other noise.
func TestPlainToTLSPort(t *testing.T) {
	d := openTLSDoor(t, "")
	friend := d.caller(t, forms[0])
	friend.good(t)
	before := d.bytes.Load()
	plain := &door{at: d.at}
	noise := map[string][]byte{
		"HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "SSLv2": {0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10},
		"a record of 64 KiB": {0x16, 3, 1, 0xff, 0xff}, "an alert": {0x15, 3, 3, 0, 2, 2, 0x28}, "a hello cut short": {0x16, 3, 1, 0, 0xf4, 1, 0, 0, 0xf0, 3, 3},
	}
	for _, f := range forms {
		for _, r := range rows() {
			noise[r.name+", "+f.String()] = r.bytes(f)
		}
	}
	for name, b := range noise {
		c := plain.caller(t, forms[0])
		_, _ = c.Write(b)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(c); timedOut(err) {
			t.Errorf("%s: the connection stays open", name)
		}
		_ = c.Close()
	}
	if n := d.bytes.Load() - before; n != 0 {
		t.Errorf("%d bytes have reached the peer", n)
	}
	friend.good(t)
	d.caller(t, forms[3]).good(t)
}

// Callers that connect to a TLS port and say nothing keep nobody out.
func TestSilentHandshakes(t *testing.T) {
	d := openTLSDoor(t, "")
	for range 200 {
		c, err := dialer().Dial("tcp", d.at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	start := time.Now()
	d.caller(t, forms[0]).good(t)
	if d := time.Since(start); d > patience/2 {
		t.Errorf("a good caller waited %v", d)
	}
	peertest.Eventually(t, "the good caller is in", func() bool { return len(d.got()) == 1 })
}
