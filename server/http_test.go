package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

var overHTTP = transport.Wire{Kind: transport.HTTP, Protocol: wire.Binary}

// post is a request whose body is a call, with more header lines.
func post(name string, seq int, lines ...string) string {
	b := transport.Append(nil, transport.Message{Wire: transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, Head: wire.Head{Name: name, Seq: int32(seq), Type: wire.Call}, Body: body(seq)})
	return fmt.Sprintf("POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", len(b), strings.Join(append(lines, ""), "\r\n"), b)
}

// web is a caller that reads HTTP responses.
type web struct {
	*caller
	in *bufio.Reader
}

func (r *rig) web() *web {
	c := r.dial(overHTTP)
	return &web{c, bufio.NewReader(c.conn)}
}

// page is a response.
type page struct {
	status int
	kind   string // its content type
	last   bool   // it says that it is the connection's last
	text   string
}

// response reads the next response.
func (w *web) response() page {
	w.Helper()
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Close, string(text)}
}

// answered reads a response and checks that it answers that call. last: it says that it is the connection's last.
func (w *web) answered(name string, seq int) (last bool) {
	w.Helper()
	p := w.response()
	s, err := transport.NewSplitter(transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, wire.Limits{})
	if err != nil {
		w.Fatal(err)
	}
	m, used, _, err := s.Split([]byte(p.text))
	if err != nil || used != len(p.text) || m.Head.Name != name || int(m.Head.Seq) != seq || p.status != 200 || p.kind != "application/x-thrift" {
		w.Errorf("%s %d: %+v, %+v, %v", name, seq, p, m.Head, err)
	}
	return p.last
}

// ended checks that the connection is closed.
func (w *web) ended() {
	w.Helper()
	if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
		w.Errorf("read %q, %v; want the end", rest, err)
	}
}

// Requests of one connection are answered in their order, however they come, and the connection is kept until a caller says otherwise.
func TestHTTP(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		w := r.web()
		w.write([]byte(post("echo1", 1) + post("echo", 2)))
		w.answered("echo1", 1)
		w.answered("echo", 2)
		for _, b := range []byte(post("echo", 3)) {
			w.write([]byte{b})
		}
		w.answered("echo", 3)
		w.write([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"))
		b := post("echo", 4)
		b = b[strings.Index(b, "\r\n\r\n")+4:]
		for _, piece := range []string{b[:3], b[3:10], b[10:]} {
			w.write(fmt.Appendf(nil, "%x;x=y\r\n%s\r\n", len(piece), piece))
		}
		w.write([]byte("0\r\nTrailer: t\r\n\r\n"))
		w.answered("echo", 4)
		w.write([]byte(post("echo", 5, "Connection: close") + post("echo", 6)))
		if !w.answered("echo", 5) {
			t.Error("the last response does not say that it is the last")
		}
		w.ended()
		if names := r.called(); len(names) != 5 {
			t.Errorf("called %v", names)
		}
	})
}

// HTTP/1.0 closes behind the answer; an exception is an answer like another; a oneway is acknowledged before its handler ends.
func TestHTTPAnswers(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		old := r.web()
		old.write([]byte(strings.Replace(post("echo", 1), "HTTP/1.1", "HTTP/1.0", 1)))
		old.answered("echo", 1)
		old.ended()

		w := r.web()
		w.write([]byte(post("unknown", 2)))
		w.answered("unknown", 2)
		began := time.Now()
		w.write([]byte(post("notify5", 3) + post("notifyPanic", 4) + post("echo", 5)))
		for range 2 {
			if p := w.response(); p.status != 200 || p.text != "" {
				t.Errorf("a oneway: %+v", p)
			}
		}
		w.answered("echo", 5)
		if d := time.Since(began); d > time.Second {
			t.Errorf("the oneway was waited for: %v", d)
		}
		w.write([]byte(post("unknownNotify", 6)))
		w.answered("unknownNotify", 6)
		time.Sleep(6 * time.Second)
		synctest.Wait()
	})
}

// What is no call, or could be read in two ways, is answered in HTTP's words behind the answers before it; the connection is closed.
func TestHTTPRefuses(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct {
		name, bytes string
		status      int
	}{
		{"GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"no length", head + "\r\n", 411},
		{"two lengths", head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
		{"two lengths in one line", head + "Content-Length: 1, 1\r\n\r\nx", 400},
		{"a length and chunks", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"another coding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		{"a coding with blanks before its colon", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
		{"a length with a sign", head + "Content-Length: +5\r\n\r\nabcde", 400},
		{"a line that goes on", head + "X: a\r\n b\r\nContent-Length: 1\r\n\r\nx", 400},
		{"a bare line feed", head + "X: a\nContent-Length: 9\r\nContent-Length: 1\r\n\r\nx", 400},
		{"a NUL", head + "X: \x00\r\nContent-Length: 1\r\n\r\nx", 400},
		{"a chunk of no size", head + "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400},
		{"a chunk of a negative size", head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
		{"a chunk longer than its size", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n", 400},
		{"a chunk beyond the limit", head + "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n", 413},
		{"a body beyond the limit", head + "Content-Length: 2147483647\r\n\r\n", 413},
		{"lines of 70 KB", head + "X: " + strings.Repeat("x", 70_000), 431},
		{"HTTP/1.9", strings.Replace(post("echo", 1), "HTTP/1.1", "HTTP/1.9", 1), 505},
		{"a body that is no Thrift", head + "Content-Length: 5\r\n\r\nhello", 400},
		{"an empty body", head + "Content-Length: 0\r\n\r\n", 400},
		{"a response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400},
		{"responses in responses", strings.Repeat("HTTP/1.1 200 OK\r\n\r\n", 20_000), 400},
		{"257 header lines", head + strings.Repeat("x:\r\n", 257) + "\r\n", 431},
		{"chunks that are lines", head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\na\r\n", 20), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			serve(t, server.Config{}, func(r *rig) {
				w := r.web()
				w.write([]byte(post("echo1", 1) + c.bytes))
				w.answered("echo1", 1)
				if p := w.response(); p.status != c.status || !p.last || p.text == "" {
					t.Errorf("%+v, want %d", p, c.status)
				}
				w.ended()
				if names := r.called(); len(names) != 1 {
					t.Errorf("called %v", names)
				}
				if n := r.Snapshot().Malformed; len(n) != 1 {
					t.Errorf("counted %v", n)
				}
			})
		})
	}
}

// A call with a head and a body that is none is answered with an exception, and the connection goes on behind it.
func TestHTTPMalformedArguments(t *testing.T) {
	serve(t, server.Config{}, func(r *rig) {
		w := r.web()
		bad := "\x80\x01\x00\x01\x00\x00\x00\x04echo\x00\x00\x00\x07\x63"
		w.write(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(bad), bad))
		w.answered("echo", 7)
		w.write([]byte(post("echo", 8)))
		w.answered("echo", 8)
	})
}
