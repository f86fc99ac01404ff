package client_test

import (
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// Whatever a peer writes on a shared connection, every call ends once, with a reply or an error of a known class, and every share is told
// of exactly once for each call.
func FuzzSharedReplies(f *testing.F) {
	reply := func(name string, seq int32, t wire.MessageType, body ...byte) []byte {
		return transport.Append(nil, transport.Message{Wire: unframed, Head: wire.Head{Name: name, Seq: seq, Type: t}, Body: body})
	}
	whole := append(append(reply("b", 3, wire.Reply, 0), reply("a", 2, wire.Reply, 0)...), reply("c", 4, wire.Exception, 0)...)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(reply(rpc.GoodbyeMethod, 2, wire.Reply, 0), reply("a", 2, wire.Reply, 0)...))
	f.Add(reply("b", 2, wire.Reply, 0))
	f.Add(append(reply("a", 2, wire.Reply, 0), reply("a", 2, wire.Reply, 0)...))
	f.Add(reply(client.FenceMethod, 6, wire.Exception, 0))
	f.Add(reply("note", 5, wire.Exception, 0))
	f.Add([]byte{0x80, 0x01, 0x00, 0x02, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		greet(t, client.Config{}, granting(func(p *talk) {
			for range 5 { // a, b, c, the oneway and its fence
				if _, ok := p.read(); !ok {
					return
				}
			}
			_, _ = p.Conn.Write(stream)
			time.Sleep(time.Second)
		}), func(g *greeted) {
			var calls sync.WaitGroup
			var owners []*owner
			for _, name := range []string{"a", "b", "c", "note"} {
				s, o := g.share()
				owners = append(owners, o)
				sent := make(chan struct{})
				calls.Go(func() {
					c := call(name, 10*time.Second)
					c.Oneway = name == "note"
					time.AfterFunc(time.Millisecond, func() { close(sent) })
					reply, err := s.Handle(g.Context(), c)
					if e := rpc.AsError(err, ""); (reply == nil) == (err == nil) || e != nil && rpc.Classes[e.Outcome].Name == "" {
						g.Errorf("%s: %v, %v", name, reply, err)
					}
				})
				<-sent // so that sequence ids are as the streams have them
			}
			calls.Wait()
			time.Sleep(time.Minute)
			for i, o := range owners {
				if freed, gone := o.seen(); len(freed) != 1 || gone > 1 || !freed[0] && gone > 0 {
					g.Errorf("share %d: freed %v, gone %d", i, freed, gone)
				}
			}
		})
	})
}
