package peertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/transport"
)

// Server is server.py with a journal of what it sees.
type Server struct {
	*Process
	Address string
	kind    Kind
	journal string
}

// Kind says as what server.py serves, and with which of the ThriftPys.
type Kind struct {
	Library
	Name      string         // its flag --kind
	Transport transport.Kind // zero: Buffered
}

// The kinds of server, each with a Python that can be one. gunicorn-sync and gunicorn-async are stock gunicorn; the others of gunicorn are
// gunicorn_thrift.
var (
	Threaded             = Kind{Library: ThriftPy2, Name: "threaded"}
	Simple               = Kind{Library: ThriftPy2, Name: "simple"}
	Multiplexed          = Kind{Library: ThriftPy2, Name: "multiplexed"}
	Aio                  = Kind{Library: ThriftPy2, Name: "aio"}
	Tornado              = Kind{Library: Library{Name: "thriftpy2", Python: python("venv-tornado")}, Name: "tornado", Transport: transport.Framed}
	GunicornSync         = Kind{Library: ThriftPy2, Name: "gunicorn-sync"}
	GunicornAsync        = Kind{Library: ThriftPy2, Name: "gunicorn-async"}
	GunicornThriftSync   = Kind{Library: Library{Name: "thriftpy2", Python: python("venv-gunicorn")}, Name: "gunicorn-thrift-sync"}
	GunicornThriftGevent = Kind{Library: Library{Name: "thriftpy2", Python: python("venv-gunicorn")}, Name: "gunicorn-thrift-gevent"}
)

// Serve runs server.py at address with more flags until the test ends, and returns once it answers.
func (k Kind) Serve(t testing.TB, address string, flags ...string) *Server {
	t.Helper()
	s := k.Start(t, address, flags...)
	s.Await(t)
	return s
}

// Start is Serve without the wait.
func (k Kind) Start(t testing.TB, address string, flags ...string) *Server {
	t.Helper()
	if k.Transport == 0 {
		k.Transport = transport.Buffered
	}
	s := &Server{Address: address, kind: k, journal: filepath.Join(t.TempDir(), "journal")}
	s.Process = Start(t, k.Python, append([]string{
		"-W", "ignore", File("server.py"), "--library", k.Library.Name, "--kind", k.Name, "--transport", k.Transport.String(), "--journal", s.journal, address,
	}, flags...)...)
	return s
}

// Await returns once the server answers.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	method := ""
	if s.kind.Name == Multiplexed.Name {
		method = client.MultiplexedProbe
	}
	await(t, s.Address, s.kind.Transport, method, s.Process)
}

// Connection is one that the server has accepted. Times are of a clock of the machine.
type Connection struct {
	PID          int
	Open, Closed time.Duration
	By           string // which side ended it: peer or server; "" while it is open
}

// Seen is what the processes of a server have seen so far.
type Seen struct {
	Connections []Connection // as they came
	AtWork      map[int]int  // by process, the most handlers of `sleep` at once
}

// Seen reads the journal.
func (s *Server) Seen(t testing.TB) (all Seen) {
	t.Helper()
	text, err := os.ReadFile(s.journal)
	if err != nil {
		t.Fatal(err)
	}
	type key struct{ pid, number int }
	index, inside := map[key]int{}, map[int]int{}
	all.AtWork = map[int]int{}
	for line := range strings.Lines(string(text)) {
		var micros int64
		var what, by string
		var k key
		if n, _ := fmt.Sscan(line, &micros, &k.pid, &what, &k.number, &by); n < 3 {
			t.Fatalf("the journal says %q", line)
		}
		at := time.Duration(micros) * time.Microsecond
		switch what {
		case "open":
			index[k] = len(all.Connections)
			all.Connections = append(all.Connections, Connection{PID: k.pid, Open: at})
		case "close":
			c := &all.Connections[index[k]]
			c.Closed, c.By = at, by
		case "enter":
			inside[k.pid]++
			all.AtWork[k.pid] = max(all.AtWork[k.pid], inside[k.pid])
		case "leave":
			inside[k.pid]--
		}
	}
	return all
}
