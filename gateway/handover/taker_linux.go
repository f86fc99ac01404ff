package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Taker is the side that was started anew. It is not safe for concurrent use, but for Close.
type Taker struct {
	link *link
	// Peer is the process that serves so far.
	Peer Peer
}

// Dial knocks at the door at path. ErrNobody where no process is behind it; a *RefusedError where it refuses.
func Dial(ctx context.Context, path string, self Peer) (*Taker, error) {
	d := net.Dialer{Timeout: stepTime}
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("handover: %w", err)
	}
	l, err := newLink(conn.(*net.UnixConn))
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	t := &Taker{link: l}
	if err := t.greet(ctx, self); err != nil {
		l.close()
		return nil, err
	}
	return t, nil
}

func (t *Taker) greet(ctx context.Context, self Peer) error {
	if self.Version == 0 {
		self.Version = Version
	}
	if err := t.link.send(ctx, message{kind: hello, meta: self}); err != nil {
		return err
	}
	m, err := t.link.receive(ctx, turnTime, welcome)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		return ErrNobody // it was on its way out
	}
	if err != nil {
		return err
	}
	return m.decode(&t.Peer, 0)
}

// Offer returns what the giver has. Its files are the caller's.
func (t *Taker) Offer(ctx context.Context) (o *Offer, err error) {
	o = new(Offer)
	defer func() {
		if err != nil {
			o.Close()
			o = nil
		}
	}()
	for range maxItems {
		m, err := t.link.receive(ctx, stepTime, offered, lockItem, doorItem, listenerItem, replicaItem)
		if err != nil {
			return o, err
		}
		if m.kind == offered {
			var services up
			if err := m.decode(&services, 0); err != nil {
				return o, err
			}
			o.Up = services.Up
			if o.Lock == nil || o.Door == nil {
				return o, errors.New("handover: an offer without a lock or a door")
			}
			return o, nil
		}
		if err := o.add(&m); err != nil {
			return o, err
		}
	}
	return o, fmt.Errorf("handover: an offer of more than %d items", maxItems)
}

// add takes one item in.
func (o *Offer) add(m *message) error {
	switch m.kind {
	case lockItem, doorItem:
		if err := m.decode(&struct{}{}, 1); err != nil {
			return err
		}
		place := &o.Lock
		if m.kind == doorItem {
			place = &o.Door
		}
		if *place != nil {
			_ = (*place).Close()
		}
		*place = m.files[0]
	case listenerItem:
		var l Listener
		if err := m.decode(&l, 1); err != nil {
			return err
		}
		l.Socket = m.files[0]
		o.Listeners = append(o.Listeners, l)
	case replicaItem:
		var r Replica
		if err := m.decode(&r, 2); err != nil {
			return err
		}
		r.Output, r.Leash = m.files[0], m.files[1]
		o.Replicas = append(o.Replicas, r)
	}
	return nil
}

// Serving says that this process serves, and with what. From here on the giver hands connections over.
func (t *Taker) Serving(ctx context.Context, with Taken) error {
	return t.link.send(ctx, message{kind: serving, meta: with})
}

// Yielded ends the session of a taker that cannot say that it serves, and reports whether the giver is out of the way all the same: it
// drains, and said `end`, or has ended, in the next seconds at the latest. Only then may this process serve.
func (t *Taker) Yielded(ctx context.Context) bool {
	defer t.link.close()
	if m, err := t.link.receive(ctx, endWait, end); err == nil {
		closeFiles(m.files)
		return true
	}
	return t.link.ended()
}

// Next returns the next connection, which the caller owns; io.EOF once all is handed over. It waits as long as the giver lives and ctx.
func (t *Taker) Next(ctx context.Context) (c Connection, err error) {
	m, err := t.link.receive(ctx, longest, connection, end)
	if err != nil {
		return c, err
	}
	if m.kind == end {
		closeFiles(m.files)
		return c, io.EOF
	}
	if err := m.decode(&c, 1); err != nil {
		return c, err
	}
	c.Socket, c.Rest = m.files[0], m.data
	// Before the first byte is read: on an error the giver goes on with the connection.
	if err := t.link.send(ctx, message{kind: taken}); err != nil {
		_ = c.Socket.Close()
		return c, err
	}
	return c, nil
}

// Close ends the session; before the giver's end that is giving up.
func (t *Taker) Close() { t.link.close() }
