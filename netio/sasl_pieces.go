package netio

import (
	"encoding/binary"
	"fmt"
	"net"
)

// pieces is a connection behind a login: what is read and written are the bytes in the pieces. One goroutine may read, and one write.
type pieces struct {
	net.Conn
	user string

	head [4]byte // length of the piece that begins, of which have bytes are there
	have int
	left int // bytes to come of the piece that has begun
	bad  error

	out []byte
}

// maxPiece bounds a piece that is written, in bytes. The engine writes no more at one time.
const maxPiece = blockBytes

// Read implements net.Conn. What came is stripped of the lengths where it lies.
func (c *pieces) Read(p []byte) (int, error) {
	for len(p) > 0 && c.bad == nil {
		n, err := c.Conn.Read(p)
		if kept := c.strip(p[:n]); kept > 0 || err != nil {
			return kept, err
		}
	}
	return 0, c.bad
}

// strip moves what stands in pieces to the front of buf, and returns how much that is.
func (c *pieces) strip(buf []byte) (kept int) {
	for at := 0; at < len(buf) && c.bad == nil; {
		if c.left > 0 {
			n := copy(buf[kept:], buf[at:min(at+c.left, len(buf))])
			at, kept, c.left = at+n, kept+n, c.left-n
			continue
		}
		n := copy(c.head[c.have:], buf[at:])
		at, c.have = at+n, c.have+n
		if c.have < len(c.head) {
			continue
		}
		length := binary.BigEndian.Uint32(c.head[:])
		if length > 1<<31-1 {
			c.bad = fmt.Errorf("a piece behind a SASL login has %d bytes", length)
		}
		c.have, c.left = 0, int(length)
	}
	return kept
}

// Write implements net.Conn. A write that fails leaves a connection of no use.
func (c *pieces) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), maxPiece)
		c.out = append(binary.BigEndian.AppendUint32(c.out[:0], uint32(n)), p[:n]...)
		sent, err := c.Conn.Write(c.out)
		if err != nil {
			return written + max(0, sent-len(c.head)), err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}

// CloseWrite ends what this end writes, where what is below can.
func (c *pieces) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// NetConn returns the socket below, below TLS too.
func (c *pieces) NetConn() net.Conn {
	if over, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return c.Conn
}

// UserOf returns who has logged in on c, and the connection below the login: one with TLS, or a socket. Where nobody has, that is "" and c.
func UserOf(c net.Conn) (user string, below net.Conn) {
	if p, ok := c.(*pieces); ok {
		return p.user, p.Conn
	}
	return "", c
}
