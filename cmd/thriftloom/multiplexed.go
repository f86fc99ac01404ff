package main

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// multiplexedDialer makes connections on which "Users:getUser" can be called. Multiplexed servers answer by the bare name, "getUser", and
// a client.Conn wants the name that it sent: the connection puts it back.
func multiplexedDialer(w transport.Wire, name string) client.Dialer {
	return func(ctx context.Context, address string) (net.Conn, error) {
		network, addr, err := netio.ParseAddress(address)
		if err != nil {
			return nil, err
		}
		split, err := transport.NewSplitter(w, wire.Limits{})
		if err != nil {
			return nil, err
		}
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		_, bare, _ := strings.Cut(name, ":")
		return &renamed{Conn: c, wire: w, split: split, bare: bare, name: name}, nil
	}
}

// renamed is a connection whose incoming messages named bare are named name.
type renamed struct {
	net.Conn
	wire       transport.Wire
	split      transport.Splitter
	bare, name string
	in         []byte // came and is no whole message yet; bounded by the splitter's limit
	out        []byte // to be read
}

// Read returns bytes of whole messages only.
func (c *renamed) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		m, used, _, err := c.split.Split(c.in)
		if err != nil {
			return 0, err
		}
		if used > 0 {
			c.in = c.in[used:]
			if m.Head.Name == c.bare {
				m.Head.Name = c.name
			}
			c.out = append(transport.AppendHead(nil, c.wire, m.Head, len(m.Body), nil), m.Body...)
			break
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *renamed) more() error {
	chunk := make([]byte, 4096)
	n, err := c.Conn.Read(chunk)
	c.in = append(c.in, chunk[:n]...)
	if n > 0 {
		return nil
	}
	if err == io.EOF && len(c.in) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
