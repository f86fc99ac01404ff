package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Door is the socket in the state folder at which a process knocks that is to take over. It belongs to the one that holds the folder.
type Door struct{ l *net.UnixListener }

// Open makes the door at path, for this user alone. Whoever calls it holds the lock of the folder: what is left there is removed.
func Open(path string) (*Door, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &Door{l}, nil
}

// DoorOf goes on with a door that was handed over. It closes f.
func DoorOf(f File) (*Door, error) {
	l, err := ListenerOf(f)
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, errors.New("handover: the door is no unix socket")
	}
	return &Door{u}, nil
}

// ListenerOf makes a listener of a socket that was handed over. It closes f. A unix socket's file stays when the listener is closed,
// until SetUnlinkOnClose.
func ListenerOf(f File) (net.Listener, error) {
	file, ok := f.(*os.File)
	if !ok {
		return nil, errors.New("handover: not a socket that was received")
	}
	defer file.Close()
	return net.FileListener(file)
}

// ConnOf makes a connection of a socket that was handed over. It closes f.
func ConnOf(f File) (net.Conn, error) {
	file, ok := f.(*os.File)
	if !ok {
		return nil, errors.New("handover: not a socket that was received")
	}
	defer file.Close()
	return net.FileConn(file)
}

// Socket is the door's descriptor, for an offer.
func (d *Door) Socket() File { return d.l }

// Close closes the door and removes it from the folder.
func (d *Door) Close() error {
	d.l.SetUnlinkOnClose(true)
	return d.l.Close()
}

// Leave closes the door of this process; the next one's stays.
func (d *Door) Leave() error {
	d.l.SetUnlinkOnClose(false)
	return d.l.Close()
}

// Accept waits for a process that wants to take over. Where one is refused (another user, another version) the error says so and the
// door stays open; net.ErrClosed and ctx's end are final.
func (d *Door) Accept(ctx context.Context, self Peer) (*Giver, error) {
	_ = d.l.SetDeadline(time.Time{}) // fails where closed only
	stop := context.AfterFunc(ctx, func() { _ = d.l.SetDeadline(time.Unix(1, 0)) })
	conn, err := d.l.AcceptUnix()
	stop()
	if ctx.Err() != nil {
		if err == nil {
			_ = conn.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	g := &Giver{link: l}
	if err := g.greet(ctx, self); err != nil {
		l.close()
		return nil, err
	}
	return g, nil
}

// Giver is the side that serves so far. Give is safe for concurrent use.
type Giver struct {
	link *link
	// Peer is the process that wants to take over.
	Peer Peer

	giving sync.Mutex
}

// greet hears who is there, and refuses another version.
func (g *Giver) greet(ctx context.Context, self Peer) error {
	m, err := g.link.receive(ctx, stepTime, hello)
	if err != nil {
		return err
	}
	if err := m.decode(&g.Peer, 0); err != nil {
		return err
	}
	self.Version = Version
	switch {
	case g.Peer.Version != Version:
		err = fmt.Errorf("process %d (%s) speaks version %d of the handover, this one (%s) version %d",
			g.Peer.PID, g.Peer.Program, g.Peer.Version, self.Program, Version)
	case g.Peer.Config != "" && g.Peer.Config != self.Config:
		err = fmt.Errorf("process %d has the config %s, this gateway has %s: one of the two needs a `state` folder of its own",
			g.Peer.PID, g.Peer.Config, self.Config)
	}
	if err != nil {
		g.Refuse(ctx, err.Error())
		return fmt.Errorf("handover: %w", err)
	}
	return g.link.send(ctx, message{kind: welcome, meta: self})
}

// Refuse tells the other process why nothing is handed over, and ends the session.
func (g *Giver) Refuse(ctx context.Context, text string) {
	_ = g.link.send(ctx, message{kind: refused, meta: RefusedError{Text: text}}) // whoever has gone needs no reason
	g.link.close()
}

// Offer sends what there is, and waits until the other process serves. What it took stays open here too.
func (g *Giver) Offer(ctx context.Context, o Offer) (Taken, error) {
	items := []message{{kind: lockItem, files: []File{o.Lock}}, {kind: doorItem, files: []File{o.Door}}}
	for _, l := range o.Listeners {
		items = append(items, message{kind: listenerItem, meta: l, files: []File{l.Socket}})
	}
	for _, r := range o.Replicas {
		items = append(items, message{kind: replicaItem, meta: r, files: []File{r.Output, r.Leash}})
	}
	for _, m := range append(items, message{kind: offered, meta: up{o.Up}}) {
		if err := g.link.send(ctx, m); err != nil {
			return Taken{}, err
		}
	}
	m, err := g.link.receive(ctx, StartTime, serving)
	if err != nil {
		return Taken{}, err
	}
	var t Taken
	return t, m.decode(&t, 0)
}

// Give hands one connection over and waits until it is taken; the caller then closes its own descriptor. After an error Failed tells
// whose the connection is: this process's where the other one has ended.
func (g *Giver) Give(ctx context.Context, c Connection) error {
	g.giving.Lock()
	defer g.giving.Unlock()
	if err := g.link.send(ctx, message{kind: connection, meta: c, data: c.Rest, files: []File{c.Socket}}); err != nil {
		return err
	}
	_, err := g.link.receive(ctx, stepTime, taken)
	return err
}

// End says that nothing is left to hand over: the other process owns what it took.
func (g *Giver) End(ctx context.Context) error {
	g.giving.Lock()
	defer g.giving.Unlock()
	defer g.link.close()
	return g.link.send(ctx, message{kind: end})
}

// Close ends a session in which nothing was given.
func (g *Giver) Close() { g.link.close() }

// Failed ends a session that has failed and reports whether the other process has ended, waiting a little for that: only then may this
// one serve on.
func (g *Giver) Failed() (ended bool) {
	g.link.close()
	return g.link.ended()
}
