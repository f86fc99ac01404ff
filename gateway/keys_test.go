package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/internal/testcert"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/wire"
)

// logged returns a gateway that does not run, and what it logs.
func logged() (*Gateway, *bytes.Buffer) {
	b := new(bytes.Buffer)
	return New(newConfig(), Options{Log: slog.New(slog.NewTextHandler(b, nil))}), b
}

// A certificate that nobody renews is told of when its last quarter begins, once a day from then on, and when it has expired; a renewed
// one is not told of any more.
func TestCertificateExpiry(t *testing.T) {
	g, log := logged()
	defer g.end()
	begin := time.Now()
	f := keyring.Fact{File: "users.pem", NotBefore: begin, NotAfter: begin.Add(8 * 24 * time.Hour)}
	told := reminders{}
	var days []string
	for hour := range 10 * 24 {
		log.Reset()
		g.remind(told, f, begin.Add(time.Duration(hour)*time.Hour))
		if text := log.String(); text != "" {
			_, what, _ := strings.Cut(text, "msg=")
			days = append(days, fmt.Sprintf("%d:%d %s", hour/24, hour%24, strings.Split(what, `"`)[1]))
		}
	}
	want := "6:1 certificate expires soon, 7:1 certificate expires soon, 8:0 certificate has expired, 9:0 certificate has expired"
	if got := strings.Join(days, ", "); got != want {
		t.Errorf("told on days %s\nwant %s", got, want)
	}
	log.Reset()
	f.NotAfter = begin.Add(100 * 24 * time.Hour)
	g.remind(told, f, begin.Add(10*24*time.Hour))
	if log.Len() > 0 || len(told) > 0 {
		t.Errorf("a renewed certificate is told of: %s", log)
	}
}

// New files come into force within ten seconds, without a reload, and each time that is told.
func TestKeysAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, dir := testcert.NewCA(t, "acme"), t.TempDir()
		cert, key := ca.Sign(t, []string{"one.test"}).Write(t, dir, "gateway")
		source, err := keyring.Open(keyring.Files{Pairs: []keyring.Pair{{Cert: cert, Key: key}}}, tls.VersionTLS12)
		if err != nil {
			t.Fatal(err)
		}
		g, log := logged()
		defer g.end()
		g.current.Store(&state{config: newConfig(), keys: keys{source}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.watchKeys(ctx)
		}()
		time.Sleep(keysEvery / 2) // never writes while they are read
		for _, name := range []string{"two.test", "three.test"} {
			time.Sleep(3 * keysEvery)
			ca.Sign(t, []string{name}).Write(t, dir, "gateway")
			time.Sleep(keysEvery)
			synctest.Wait()
			if got := source.Material().Facts[0].Names[0]; got != name {
				t.Errorf("%s is in force, want %s", got, name)
			}
		}
		if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * keysEvery)
		cancel()
		<-done
		if taken, kept := strings.Count(log.String(), "certificate taken over"), strings.Count(log.String(), "the last good one stays"); taken != 2 || kept != 1 {
			t.Errorf("taken over %d times, kept %d times:\n%s", taken, kept, log)
		}
	})
}

// Callers that get their TLS wrong are counted each and logged once in ten seconds a kind, with how many were not told; port checks are
// not logged.
func TestWrongTLSIsLoggedWithoutNoise(t *testing.T) {
	g, log := logged()
	defer g.end()
	from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}
	for range 1000 {
		g.handshakeFailed("127.0.0.1:9090", from, netio.NotTLS, fmt.Errorf("no handshake"))
		g.handshakeFailed("127.0.0.1:9090", from, netio.ClosedInHandshake, fmt.Errorf("EOF"))
		g.malformed("127.0.0.1:9091", wire.TLSHello, fmt.Errorf("a TLS handshake on a plain Thrift port"))
		g.malformed("127.0.0.1:9091", wire.BadVersion, fmt.Errorf("garbage"))
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "plain Thrift") || !strings.Contains(lines[1], "TLS on a plain port") {
		t.Errorf("%d lines: %s", len(lines), log)
	}
	var q quieter
	now := time.Now()
	for i := range 5 {
		if n, ok := q.take("x", now.Add(time.Duration(i)*4*time.Second)); ok != (i == 0 || i == 3) || i == 3 && n != 2 {
			t.Errorf("line %d: %v, %d not told", i, ok, n)
		}
	}
	for i := range 10 * maxQuieted {
		q.take(fmt.Sprint(i), now)
	}
	if len(q.kinds) > maxQuieted+1 {
		t.Errorf("%d kinds are held", len(q.kinds))
	}
}
