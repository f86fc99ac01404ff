package gateway

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/thriftloom/thriftloom/gateway/handover"
	"github.com/thriftloom/thriftloom/netio"
)

// Sockets are listening sockets that another process has opened: the gateway whose place is taken, or the service manager. Nil has none.
// It is not safe for concurrent use; a gateway uses it while it changes.
type Sockets struct {
	// Shut makes every gate begin shut.
	Shut  bool
	byID  map[string]*Gate // as the gateway before this one knew them
	named []namedSocket    // of the service manager
}

type namedSocket struct {
	name string
	gate *Gate
}

// TakeOver adds a socket of the gateway before this one. It closes l.Socket.
func (s *Sockets) TakeOver(l handover.Listener) error {
	socket, err := handover.ListenerOf(l.Socket)
	if err != nil {
		return err
	}
	g := newGate(socket)
	g.keep = l.Keep
	g.Own(false)
	if s.byID == nil {
		s.byID = map[string]*Gate{}
	}
	s.byID[l.ID] = g
	return nil
}

// TakenOver reports whether there are sockets of a gateway before this one: while this one starts in its place, until CloseRest.
func (s *Sockets) TakenOver() bool { return s != nil && s.byID != nil }

// Add adds a socket of the service manager. name may be the key of the config that it is meant for; its address tells too.
func (s *Sockets) Add(name string, l net.Listener) {
	g := newGate(l)
	g.keep = true
	g.Own(false)
	s.named = append(s.named, namedSocket{name, g})
}

// Listen returns the socket for an address of the config, by its id, its name (a key, or a label of a service), or where it is bound;
// opened anew where nobody has opened it.
func (s *Sockets) Listen(ctx context.Context, id, address string, names ...string) (*Gate, error) {
	return s.ListenBy(ctx, netio.Listen, id, address, names...)
}

// ListenBy is Listen where open is how a socket is opened anew.
func (s *Sockets) ListenBy(
	ctx context.Context, open func(context.Context, string) (net.Listener, error), id, address string, names ...string,
) (*Gate, error) {
	g := s.take(id, address, names)
	if g == nil {
		l, err := open(ctx, address)
		if err != nil {
			return nil, err
		}
		g = newGate(l)
	}
	if s != nil && s.Shut {
		g.Shut()
	}
	return g, nil
}

func (s *Sockets) take(id, address string, names []string) *Gate {
	if s == nil {
		return nil
	}
	if g := s.byID[id]; g != nil {
		delete(s.byID, id)
		return g
	}
	fits := func(n namedSocket) bool { return boundAt(n.gate.Addr(), address) }
	i := slices.IndexFunc(s.named, fits)
	if i < 0 {
		i = slices.IndexFunc(s.named, func(n namedSocket) bool { return slices.Contains(names, n.name) })
	}
	if i < 0 {
		return nil
	}
	g := s.named[i].gate
	s.named = slices.Delete(s.named, i, i+1)
	return g
}

// boundAt reports whether a socket that is bound at a is what the config means by address.
func boundAt(a net.Addr, address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return a.Network() == "unix" && a.String() == path
	}
	host, port, err := net.SplitHostPort(a.String())
	wantHost, wantPort, wantErr := net.SplitHostPort(address)
	if err != nil || wantErr != nil || port != wantPort {
		return false
	}
	return host == strings.Replace(wantHost, "localhost", "127.0.0.1", 1) || all(host, "") && all(wantHost, "")
}

// CloseRest closes the sockets that nobody has asked for, and returns what the service manager calls them.
func (s *Sockets) CloseRest() (names []string) {
	if s == nil {
		return nil
	}
	for _, g := range s.byID {
		_ = g.Close()
	}
	for _, n := range s.named {
		names = append(names, n.name+" ("+n.gate.Addr().String()+")")
		_ = n.gate.Close()
	}
	s.byID, s.named = nil, nil
	return names
}

// SocketID is what a listener is known by from one config or process to the next: its address, or its place in the config where the system
// chooses the port.
func SocketID(key, address string) string {
	if strings.HasSuffix(address, ":0") {
		return key
	}
	return address
}
