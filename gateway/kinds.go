package gateway

import "time"

// ServerKind is what follows from how a server serves.
type ServerKind struct {
	Name       string        // the key `server`; "" where it is left out
	Slots      int           // per endpoint where the file names none; zero: it has to
	IdleExpiry time.Duration // after which a free connection is closed
	MaxAge     time.Duration // after which a connection takes no new call; zero: none
	Framed     bool          // the transport where the file names none
}

// ServerKinds is the table behind the key `server`.
//
// The times stand below those at which the servers close: 3 s after the last byte (make_server), 2 s (gunicorn), 1 s (tornado), and 3 s
// after accept, busy or not (make_aio_server): a connection of 1 s leaves 2 s for the call that it takes last.
//
// A worker that serves one connection at a time is taken by a free one too: such a connection is kept for just so long that callers which
// call again at once, and calls that wait, find it.
var ServerKinds = []ServerKind{
	{Name: "threaded", Slots: 4, IdleExpiry: 2500 * time.Millisecond},
	{Name: "simple", Slots: 1, IdleExpiry: pinnedExpiry},
	{Name: "gunicorn-sync", IdleExpiry: pinnedExpiry},
	{Name: "gunicorn-gevent", Slots: 64, IdleExpiry: 1500 * time.Millisecond},
	{Name: "gunicorn-async", Slots: 64, IdleExpiry: 1500 * time.Millisecond},
	{Name: "aio", Slots: 64, IdleExpiry: time.Second, MaxAge: time.Second},
	{Name: "tornado", Slots: 64, IdleExpiry: 800 * time.Millisecond, Framed: true},
	{Name: "", Slots: 1, IdleExpiry: 1500 * time.Millisecond},
}

// pinnedExpiry is longer than a caller on the same host takes from a reply to its next call, and shorter than anybody notices who waits
// for the worker at another gateway.
const pinnedExpiry = 10 * time.Millisecond

func kindOf(name string) ServerKind {
	for _, k := range ServerKinds {
		if k.Name == name {
			return k
		}
	}
	return ServerKinds[len(ServerKinds)-1]
}
