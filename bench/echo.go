package main

import (
	"net"
	"os"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// echo is the upstream of every row: it answers each call with its argument, in order, one connection a goroutine, and one write for all
// calls that one read brought. A caller that asks may send many calls at once (the greeting is answered as any call is). It ends with the
// process.
func echo(address string, framed bool) error {
	network, at := child.Place(address)
	l, err := net.Listen(network, at)
	if err != nil {
		return err
	}
	if network == "unix" {
		if err := os.Chmod(at, 0o777); err != nil {
			return err
		}
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go answer(nc, framed)
	}
}

func answer(nc net.Conn, framed bool) {
	defer nc.Close()
	w, lead := transport.Wire{Kind: transport.Buffered, Protocol: wire.Binary}, 0
	if framed {
		w.Kind, lead = transport.Framed, 4
	}
	split, err := transport.NewSplitter(w, wire.Limits{})
	if err != nil {
		panic(err)
	}
	buf, have := make([]byte, 4<<10), 0
	for {
		n, err := nc.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		done := 0
		for done < have {
			m, used, _, err := split.Split(buf[done:have])
			if err != nil {
				return
			}
			if used == 0 {
				break
			}
			turn(buf[done+lead:done+used], len(m.Body))
			done += used
		}
		if done > 0 {
			if _, err := nc.Write(buf[:done]); err != nil {
				return
			}
			have = copy(buf, buf[done:have])
		}
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// turn makes a strict binary message with a body of n bytes its own reply: the type, and the id of the first field.
func turn(m []byte, n int) {
	m[3] = byte(wire.Reply)
	if body := m[len(m)-n:]; n > 1 {
		body[1], body[2] = 0, 0
	}
}
