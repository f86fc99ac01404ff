package hostile

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/server"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// cases is how many there have to be in all.
const cases = 20_000

// Every message that the two ThriftPys wrote, cut off at every byte and split at every byte: a request that is cut off reaches no handler
// and is told of, or its connection closed; one that comes in two parts is what it was. A reply that is cut off fails its call; one that
// comes in two parts is the reply.
func TestCutAndSplitAtEveryOffset(t *testing.T) {
	all := vectors(t)
	cuts, splits, messages := 0, 0, 0
	for _, v := range all {
		play := v.asReply
		if v.client {
			play = v.asRequest
		}
		synctest.Test(t, func(t *testing.T) {
			c, s := play(t)
			cuts, splits = cuts+c, splits+s
		})
		if messages++; t.Failed() {
			t.Fatalf("the message was %s: %x", v.name, v.bytes)
		}
	}
	t.Logf("%d messages: cut off in %d ways, split in %d ways", messages, cuts, splits)
	if messages < 50 || cuts+splits < cases {
		t.Errorf("%d messages and %d cases; want 50 and %d at least", messages, cuts+splits, cases)
	}
}

// asRequest plays v to a server.
func (v vector) asRequest(t *testing.T) (cuts, splits int) {
	network, ctx := memnet.New(), t.Context()
	l, err := network.Listen("door:1")
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan rpc.Call, 1)
	var handled atomic.Int64
	handler := rpc.HandlerFunc(func(_ context.Context, call *rpc.Call) (*rpc.Reply, error) {
		handled.Add(1)
		calls <- *call
		return &rpc.Reply{Protocol: call.Protocol, Body: []byte{0}}, nil
	})
	s := server.New(server.Config{Route: func(_ *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		call.Oneway = v.oneway
		return handler, nil
	}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	dial := func() *memnet.Conn {
		c, err := network.Dial(ctx, "door:1")
		if err != nil {
			t.Fatal(err)
		}
		return c.(*memnet.Conn)
	}
	for at := range v.bytes {
		c := dial()
		_, _ = c.Write(v.bytes[:at])
		_ = c.CloseWrite()
		rest, err := io.ReadAll(c) // the answer that refuses it, or nothing
		_ = c.Close()
		if err != nil || handled.Load() != 0 {
			t.Fatalf("cut at %d: %d handlers, %v", at, handled.Load(), err)
		}
		if len(rest) > 0 && !v.isException(t, rest) {
			t.Fatalf("cut at %d: answered %x", at, rest)
		}
		cuts++
	}
	c := dial()
	for at := 1; at < len(v.bytes); at++ {
		_, _ = c.Write(v.bytes[:at])
		synctest.Wait()
		if handled.Load() != int64(splits) {
			t.Fatalf("split at %d: a handler ran before all had come", at)
		}
		_, _ = c.Write(v.bytes[at:])
		call := <-calls
		if !bytes.Equal(call.Body, v.m.Body) || call.Name != v.m.Head.Name {
			t.Fatalf("split at %d: %s %x, want %s %x", at, call.Name, call.Body, v.m.Head.Name, v.m.Body)
		}
		synctest.Wait()
		if !v.oneway {
			if n, err := c.Read(make([]byte, 4096)); n == 0 || err != nil {
				t.Fatalf("split at %d: no answer: %v", at, err)
			}
		}
		splits++
	}
	_ = c.Close()
	drained, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Drain(drained); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	return cuts, splits
}

func (v vector) isException(t *testing.T, b []byte) bool {
	s, err := transport.NewSplitter(v.wire(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m, used, _, err := s.Split(b)
	return err == nil && used == len(b) && m.Head.Type == wire.Exception
}

// asReply plays v to a client.
func (v vector) asReply(t *testing.T) (cuts, splits int) {
	network := memnet.New()
	ctx, cancel := context.WithCancel(context.Background())
	engine, ended := netio.NewPortable(), make(chan struct{})
	go func() { defer close(ended); _ = engine.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	l, err := network.Listen("peer:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() (*client.Conn, net.Conn) {
		conn, err := client.Dial(ctx, engine, "peer:1", client.Config{Wire: v.wire(), Dialer: network.Dial})
		if err != nil {
			t.Fatal(err)
		}
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn, peer
	}
	handle := func(conn *client.Conn) (*rpc.Reply, *rpc.Error) {
		reply, err := conn.Handle(ctx, &rpc.Call{Name: v.m.Head.Name, Protocol: wire.Binary, Body: []byte{0}, Deadline: time.Now().Add(time.Minute)})
		return reply, rpc.AsError(err, "")
	}
	for at := range v.bytes {
		conn, peer := dial()
		go func() {
			_, _ = peer.Read(make([]byte, 4096))
			_, _ = peer.Write(v.numbered(1)[:at])
			_ = peer.Close()
		}()
		if reply, err := handle(conn); reply != nil || err.Reach == rpc.Answered {
			t.Fatalf("cut at %d: %v, %v", at, reply, err)
		}
		cuts++
	}
	conn, peer := dial()
	for at := 1; at < len(v.bytes); at++ {
		b := v.numbered(int32(at))
		go func() {
			_, _ = peer.Read(make([]byte, 4096))
			_, _ = peer.Write(b[:at])
			time.Sleep(time.Second)
			_, _ = peer.Write(b[at:])
		}()
		reply, err := handle(conn)
		switch {
		case v.m.Head.Type == wire.Exception && (err == nil || err.Reach != rpc.Answered || err.Peer == nil):
			t.Fatalf("split at %d: %v", at, err)
		case v.m.Head.Type == wire.Reply && (err != nil || !bytes.Equal(reply.Body, v.m.Body)):
			t.Fatalf("split at %d: %v, %v", at, reply, err)
		}
		splits++
	}
	conn.Close()
	_ = peer.Close()
	return cuts, splits
}

// numbered is the message with another sequence id: captured clients number nothing.
func (v vector) numbered(seq int32) []byte {
	b, at := bytes.Clone(v.bytes), len(v.bytes)-len(v.m.Body)-4
	b[at], b[at+1], b[at+2], b[at+3] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
	return b
}
