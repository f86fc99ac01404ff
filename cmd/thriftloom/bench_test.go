package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/transport"
)

// benched is what bench -o json prints.
type benched struct {
	Address, Method, Transport, Protocol string
	Connections, Reconnects              int64
	Load                                 struct {
		Calls, Failed, Late int64
		Rate                float64
		Errors              []struct {
			Kind    string
			Calls   int64
			Example string
		}
		Histogram []struct{ Calls int64 }
	}
}

// bench runs bench without a warm-up and reads what it prints.
func bench(t *testing.T, address string, args ...string) (b benched, r ran) {
	t.Helper()
	all := append([]string{"bench", "-i", writeFile(t, "users.thrift", usersIDL), address}, args...)
	r = runIn("", append(all, "--warmup", "0s", "-o", "json"))
	if r.code != exitUsage {
		if err := json.Unmarshal([]byte(r.out), &b); err != nil {
			t.Fatalf("%v: %s%s", err, r.out, r.errout)
		}
	}
	return b, r
}

// So many calls are made, by so many connections; each of the peer's answers is one of them.
func TestBench(t *testing.T) {
	peer, address := servePeer(t, answer(fakepeer.Answer{After: time.Millisecond, Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ann", "role": "OWNER"}}`)}), nil)
	b, r := bench(t, address, "Users.getUser", `{"id": 7}`, "--calls", "200", "--concurrency", "8", "--connections", "4")
	if r.code != 0 || r.errout != "" {
		t.Fatalf("exit code %d: %s", r.code, r.errout)
	}
	inChart := int64(0)
	for _, bucket := range b.Load.Histogram {
		inChart += bucket.Calls
	}
	if b.Load.Calls != 200 || b.Load.Failed != 0 || inChart != 200 || peer.Calls.Load() != 200 {
		t.Errorf("%d calls, %d failed, %d in the histogram, %d at the peer; want 200, 0, 200, 200", b.Load.Calls, b.Load.Failed, inChart, peer.Calls.Load())
	}
	if b.Connections != 4 || b.Reconnects != 0 || peer.Connections.Load() != 1+4 { // one was a probe's
		t.Errorf("%d connections, %d anew, %d at the peer; want 4, 0, 5", b.Connections, b.Reconnects, peer.Connections.Load())
	}
	if b.Address != address || b.Method != "Users/getUser" || b.Transport != "buffered" || b.Protocol != "binary" {
		t.Errorf("%+v", b)
	}
}

// On a schedule there are as many calls as the rate says, and one that is due while the only connection is taken waits for it.
func TestBenchRate(t *testing.T) {
	_, address := servePeer(t, answer(fakepeer.Answer{After: 20 * time.Millisecond}), nil)
	b, r := bench(t, address, "ping", "--calls", "20", "--rate", "2000", "--concurrency", "20", "--connections", "1", "--transport", "buffered")
	if r.code != 0 || b.Load.Calls != 20 {
		t.Fatalf("exit code %d, %d calls: %s", r.code, b.Load.Calls, r.errout)
	}
	if b.Load.Rate > 50 { // the peer's, though they were due at once
		t.Errorf("%.0f calls/s over one connection to a peer that takes 20 ms", b.Load.Rate)
	}
}

// What fails is told by its kind, with an example, and the run fails. A connection that the peer has closed is made anew.
func TestBenchFailures(t *testing.T) {
	var n atomic.Int64
	peer, address := servePeer(t, func(m transport.Message) fakepeer.Answer {
		switch n.Add(1) % 4 {
		case 0:
			return fakepeer.Answer{Close: true}
		case 1:
			return fakepeer.Answer{Unknown: true}
		case 2:
			return fakepeer.Answer{Body: body(t, "getUser", `{"missing": {"id": 7, "message": "gone"}}`)}
		}
		return fakepeer.Answer{Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ann", "role": "OWNER"}}`)}
	}, nil)
	b, r := bench(t, address, "getUser", `{"id": 7}`, "--calls", "40", "--concurrency", "1", "--transport", "buffered")
	if r.code != exitFailed || !strings.Contains(r.errout, "30 of 40 calls failed") {
		t.Errorf("exit code %d: %s", r.code, r.errout)
	}
	got := map[string]string{}
	for _, e := range b.Load.Errors {
		got[e.Kind] = fmt.Sprintf("%d %s", e.Calls, e.Example)
	}
	want := map[string]string{
		"HANDLER_FAILED": "10 " + address + ": the handler ended without a reply",
		"UNKNOWN_METHOD": "10 TApplicationException of type 1, without a message",
		"NotFound":       "10 the declared exception NotFound",
	}
	for kind, text := range want {
		if got[kind] != text {
			t.Errorf("%s: %q, want %q", kind, got[kind], text)
		}
	}
	if b.Reconnects < 9 || b.Reconnects > 10 || peer.Connections.Load() != 1+b.Reconnects { // nothing comes after the last close
		t.Errorf("%d connections anew, %d at the peer", b.Reconnects, peer.Connections.Load())
	}
}

// A call that times out fails, and its connection takes no other call.
func TestBenchTimeout(t *testing.T) {
	_, address := servePeer(t, answer(fakepeer.Answer{Oneway: true}), nil)
	b, r := bench(t, address, "ping", "--calls", "2", "--concurrency", "1", "--timeout", "100ms", "--transport", "buffered")
	if r.code != exitFailed || b.Load.Failed != 2 || b.Load.Errors[0].Kind != "DEADLINE_EXCEEDED" || b.Reconnects != 1 {
		t.Errorf("exit code %d: %+v", r.code, b)
	}
}

// A oneway call is over when it is sent; the next one on its connection waits until the server has come to it.
func TestBenchOneway(t *testing.T) {
	peer, address := servePeer(t, answer(fakepeer.Answer{Oneway: true}), nil)
	b, r := bench(t, address, "track", `{"event": "x"}`, "--calls", "50", "--concurrency", "2")
	if r.code != 0 || b.Load.Calls != 50 || b.Reconnects != 0 {
		t.Errorf("exit code %d: %+v: %s", r.code, b, r.errout)
	}
	if got := peer.Calls.Load(); got < 48 { // the last of each connection may be on its way
		t.Errorf("%d calls came", got)
	}
}

// Text for people has the report and the histogram.
func TestBenchText(t *testing.T) {
	_, address := servePeer(t, answer(fakepeer.Answer{}), nil)
	r := runIn("", []string{"bench", "-i", writeFile(t, "users.thrift", usersIDL), address, "ping", "--calls", "10", "--warmup", "0s"})
	for _, want := range []string{"Users/ping at " + address + ": buffered, binary, 64 connections\n\n10 calls in ", "\nlatency ", "█"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("exit code %d, no %q in:\n%s%s", r.code, want, r.out, r.errout)
		}
	}
}

// What cannot be meant, and what is not there, is said before a call is made.
func TestBenchRefuses(t *testing.T) {
	path := writeFile(t, "users.thrift", usersIDL)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"127.0.0.1:1", "ping", "--concurrency", "0"}, exitUsage, "--concurrency 0: want 1 at least"},
		{[]string{"127.0.0.1:1", "ping", "--connections", "65"}, exitUsage, "--connections 65: want 1 to 64, which is --concurrency"},
		{[]string{"127.0.0.1:1", "ping", "--duration", "0s"}, exitUsage, "--duration 0s: want more than 0"},
		{[]string{"127.0.0.1:1", "ping", "--empty"}, exitUsage, "unknown flag: --empty"},
		{[]string{"127.0.0.1:1", "pong"}, exitUsage, `did you mean "ping"?`},
		{[]string{"127.0.0.1:1", "getUser", `{"idd": 1}`}, exitUsage, `did you mean "id"?`},
		{[]string{"127.0.0.1:1", "ping", "--transport", "framed"}, exitFailed, "127.0.0.1:1: connect: connection refused"},
	} {
		r := runIn("", append([]string{"bench", "-i", path}, c.args...))
		if r.code != c.code || !strings.Contains(r.errout, c.says) || r.out != "" {
			t.Errorf("%q: exit code %d, want %d with %q:\n%s%s", c.args, r.code, c.code, c.says, r.out, r.errout)
		}
	}
}
