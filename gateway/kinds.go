package gateway

import "time"

// ServerKind is what follows from how a server serves.
type ServerKind struct {
	Name       string        // the key `server`; "" where it is left out
	Slots      int           // per endpoint where the file names none; zero: it has to
	IdleExpiry time.Duration // after which a free connection is closed
	MaxAge     time.Duration // after which a connection takes no new call; zero: none
	Framed     bool          // the transport where the file names none
	HTTP       bool          // the same
	Shared     bool          // answers in any order: a slot is a share of a connection
}

// ServerKinds is the table behind the key `server`.
//
// The times stand below those at which the servers close: 3 s after the last byte (make_server), 2 s (gunicorn), 1 s (tornado), and 3 s
// after accept, busy or not (make_aio_server): a connection of 1 s leaves 2 s for the call that it takes last. HTTP servers differ: 2 s is the
// least that is common (gunicorn); ThriftPy's own closes behind each reply.
//
// Tornado's is half of that, since what stands above it costs a call: since Python 3.11 it leaves a connection open that it reads no more.
//
// A worker that serves one connection at a time is taken by a free one too: such a connection is kept for just so long that callers which
// call again at once, and calls that wait, find it; and for a second at most, so that others come to a worker that is never idle.
//
// Servers that answer in any order are Thriftloom's own, library or gateway, which end no connection for idleness.
//
// Under gunicorn each connection has an age, though its server sets none: a worker that is told to leave, at a reload, stays while one is
// used, and is killed with the calls on it when graceful_timeout (30 s) is over.
var ServerKinds = []ServerKind{
	{Name: "threaded", Slots: 4, IdleExpiry: 2500 * time.Millisecond},
	{Name: "simple", Slots: 1, IdleExpiry: pinnedExpiry, MaxAge: pinnedAge},
	{Name: "gunicorn-sync", IdleExpiry: pinnedExpiry, MaxAge: pinnedAge},
	{Name: "gunicorn-gevent", Slots: 64, IdleExpiry: 1500 * time.Millisecond, MaxAge: gunicornAge},
	{Name: "gunicorn-async", Slots: 64, IdleExpiry: 1500 * time.Millisecond, MaxAge: gunicornAge},
	{Name: "aio", Slots: 64, IdleExpiry: time.Second, MaxAge: time.Second},
	{Name: "tornado", Slots: 64, IdleExpiry: 500 * time.Millisecond, Framed: true},
	{Name: "http", Slots: 16, IdleExpiry: 1500 * time.Millisecond, HTTP: true},
	{Name: "concurrent", Slots: 256, IdleExpiry: time.Minute, Shared: true},
	{Name: "", Slots: 1, IdleExpiry: 1500 * time.Millisecond},
}

// pinnedExpiry is longer than a caller on the same host takes from a reply to its next call, and shorter than anybody notices who waits
// for the worker at another gateway.
const pinnedExpiry = 10 * time.Millisecond

// pinnedAge is well below the 3 s that ThriftPy's own clients wait for a worker.
const pinnedAge = time.Second

// gunicornAge leaves most of graceful_timeout for the call that a connection takes last.
const gunicornAge = 5 * time.Second

// pinned reports whether a connection may take a worker for as long as it is open, with or without a call.
func (k ServerKind) pinned() bool { return k.Name == "" || k.IdleExpiry == pinnedExpiry }

func kindOf(name string) ServerKind {
	for _, k := range ServerKinds {
		if k.Name == name {
			return k
		}
	}
	return ServerKinds[len(ServerKinds)-1]
}
