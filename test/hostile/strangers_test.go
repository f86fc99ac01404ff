package hostile

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// What is no Thrift, or a Thrift that is not spoken here, has its connection closed without a byte, is counted by what it is, and reaches
// no server. Good callers are answered meanwhile.
func TestStrangers(t *testing.T) {
	d := openDoor(t, "", "")
	tests := []struct {
		name, bytes string
		reason      wire.Reason
	}{
		{"HTTP 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", wire.Unsupported},
		{"TLS to plain port", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", wire.TLSHello},
		{"SASL", "\x01\x00\x00\x00\x05PLAIN", wire.Unsupported},
		{"THeader with an unknown protocol", "\x00\x00\x00\x20\x0f\xff\x00\x00\x00\x00\x00\x01\x00\x01\x09\x00", wire.Unsupported},
		{"SSH", "SSH-2.0-OpenSSH_9.9\r\n", wire.BadVersion},
		{"Redis", "*1\r\n$4\r\nPING\r\n", wire.BadVersion},
		{"garbage", "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef", wire.BadVersion},
		{"zeros", strings.Repeat("\x00", 4096), wire.BadVersion},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			friend := d.caller(t, forms[0])
			friend.good(t)
			before, counted := d.bytes.Load(), d.malformed(t)
			c := d.caller(t, forms[0])
			_, _ = c.Write([]byte(test.bytes))
			if rest, err := io.ReadAll(c); len(rest) != 0 || timedOut(err) {
				t.Errorf("read %q, %v; want the end", rest, err)
			}
			if n := d.bytes.Load() - before; n != 0 {
				t.Errorf("%d bytes have reached the peer", n)
			}
			after := d.malformed(t)
			if after[test.reason] != counted[test.reason]+1 {
				t.Errorf("counted %v, and before %v; want one more %s", after, counted, test.reason)
			}
			friend.good(t)
		})
	}
	t.Run("TLS client", func(t *testing.T) { // a real one, which learns it at once
		nc, err := tls.DialWithDialer(dialer(), "tcp", d.at, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing is sent
		if err == nil {
			nc.Close()
			t.Fatal("a handshake on a plain port has succeeded")
		}
		if timedOut(err) {
			t.Errorf("left waiting: %v", err)
		}
		d.caller(t, form{transport.Framed, true}).good(t)
	})
}

// A request that comes byte by byte and never ends, and one of which nothing more comes, are let go of after stall_timeout; connections
// that are idle between calls are not.
func TestSlowDrip(t *testing.T) {
	d := openDoor(t, "", "stall_timeout: 1s")
	for _, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			idle, drip := d.caller(t, f), d.caller(t, f)
			idle.good(t)
			drip.good(t)
			m := f.message(wire.Head{Name: "get", Seq: 77, Type: wire.Call}, keyed(strings.Repeat("x", 1000)))
			stop := make(chan struct{})
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				for i := range m {
					if _, err := drip.Write(m[i : i+1]); err != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
			answer, err := drip.read()
			if err != nil || answer.Head.Seq != 77 || code(t, answer) != "DEADLINE_EXCEEDED" {
				t.Errorf("answered %+v, %v", answer.Head, err)
			}
			if _, err := drip.read(); err != io.EOF {
				t.Errorf("the connection stays open: %v", err)
			}
			close(stop)
			<-dripped
			idle.good(t)
		})
	}
}
