// Package fakepeer is a Thrift server for tests that behaves as ThriftPy's threaded server does, and misbehaves as a test says.
//
// It speaks strict binary, answers one call at a time on each connection, echoes the sequence id, and writes nothing for what its script
// calls oneway.
package fakepeer

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// Answer is what the peer does with one message.
type Answer struct {
	After   time.Duration    // before anything else
	Body    []byte           // of a reply; nil and no other field: an empty result
	Unknown bool             // "unknown method", as ThriftPy says it
	Close   bool             // close, without a reply
	Oneway  bool             // write nothing
	Stray   bool             // with Oneway: write an exception all the same
	Seq     int32            // added to the sequence id
	Name    string           // instead of the method's
	Type    wire.MessageType // instead of Reply
	Cut     int              // write that many bytes of the reply, then close
	Extra   []byte           // behind the reply, in the same write
}

// Peer is a scripted server.
type Peer struct {
	Script  func(m transport.Message) Answer
	Hidden  func(m transport.Message) Answer // for methods that begin with __, which the script is not asked about; nil: Unknown
	Kind    transport.Kind                   // zero: Buffered
	IdleEnd time.Duration                    // closes a connection that is idle so long; zero: never
	MaxAge  time.Duration                    // cuts a connection so long after it was accepted, at work or not, as make_aio_server does; zero: never
	Serial  bool                             // takes a connection only when the one before is closed, as TSimpleServer does
	// Take, if set, is handed each connection first. It returns false where the script is to serve it; else the connection is closed.
	Take func(c net.Conn) bool

	Connections atomic.Int64 // accepted
	Open        atomic.Int64 // now
	MostOpen    atomic.Int64
	Calls       atomic.Int64 // messages that the script was asked about
	Working     atomic.Int64 // scripts under way
	IdleEnded   atomic.Int64 // closed by IdleEnd
}

// Serve answers connections of l until it is closed, and waits for them. It may be called again, with another listener, before it has returned.
func (p *Peer) Serve(l net.Listener) {
	var held sync.WaitGroup
	defer held.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.Connections.Add(1)
		if open := p.Open.Add(1); open > p.MostOpen.Load() {
			p.MostOpen.Store(open)
		}
		if p.Serial {
			p.hold(c)
		} else {
			held.Go(func() { p.hold(c) })
		}
	}
}

// hold serves a connection until one of the two closes it.
func (p *Peer) hold(c net.Conn) {
	defer p.Open.Add(-1)
	defer c.Close()
	if p.MaxAge > 0 {
		defer time.AfterFunc(p.MaxAge, func() { _ = c.Close() }).Stop()
	}
	if p.Take == nil || !p.Take(c) {
		p.Talk(c)
	}
}

func (p *Peer) wire() transport.Wire {
	w := transport.Wire{Kind: p.Kind, Protocol: wire.Binary}
	if w.Kind == 0 {
		w.Kind = transport.Buffered
	}
	return w
}

// Talk answers what comes on c by the script until one of the two closes it: what a Take calls that only wanted to wait, or to set faults.
func (p *Peer) Talk(c net.Conn) {
	calls := NewReader(patient{c, p}, p.wire())
	for {
		m, err := calls.Next()
		if err != nil || !p.answer(c, m) {
			return
		}
	}
}

// patient is a connection of a peer that waits for bytes as long as the peer does.
type patient struct {
	net.Conn
	p *Peer
}

func (c patient) Read(b []byte) (int, error) {
	if c.p.IdleEnd > 0 {
		_ = c.SetReadDeadline(time.Now().Add(c.p.IdleEnd))
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.p.IdleEnded.Add(1)
	}
	return n, err
}

// answer does what the script says, and reports whether the connection goes on.
func (p *Peer) answer(c net.Conn, m transport.Message) bool {
	a := Answer{Unknown: true}
	if len(m.Head.Name) < 2 || m.Head.Name[:2] != "__" {
		p.Calls.Add(1)
		p.Working.Add(1)
		a = p.Script(m)
		time.Sleep(a.After)
		p.Working.Add(-1)
	} else if p.Hidden != nil {
		a = p.Hidden(m)
	}
	if a.Close {
		return false
	}
	head := wire.Head{Name: m.Head.Name, Seq: m.Head.Seq + a.Seq, Type: wire.Reply}
	body := a.Body
	if body == nil {
		body = []byte{0}
	}
	if a.Unknown || a.Stray {
		head.Type, body = wire.Exception, binary.AppendApplication(nil, 1, "")
	}
	if a.Name != "" {
		head.Name = a.Name
	}
	if a.Type != 0 {
		head.Type = a.Type
	}
	if a.Oneway && !a.Stray {
		return true
	}
	out := transport.Append(nil, transport.Message{Wire: p.wire(), Head: head, Body: body})
	out = append(out, a.Extra...)
	if a.Cut > 0 {
		_, _ = c.Write(out[:a.Cut])
		return false
	}
	_, err := c.Write(out)
	return err == nil
}
