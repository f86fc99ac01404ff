package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/load"
	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
)

// callers are synchronous clients with a connection each, on ThriftPy's default wire: unframed strict binary.
type callers struct {
	conns   []net.Conn
	request [][]byte
	reply   []byte // room for one, by worker
	size    int    // of a reply
	keys    uint64
	depth   int // calls that are written at once
	random  []uint64
}

var errReply = errors.New("the reply is not one to the call")

// message lays out a call.
func message(method string, fields func([]byte) []byte) []byte {
	b := []byte{0x80, 1, 0, 1}
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(method))), method...)
	b = append(b, 0, 0, 0, 0)
	return append(fields(b), 0)
}

// filter makes a call of get 200 bytes long.
const filter = "filter: everything that was changed since the beginning of the year, in order of the time, without what was deleted since then, for one tenant"

// getCall is a call of get; the id is at idAt.
func getCall() []byte {
	return message("get", func(b []byte) []byte {
		b = thrift.AppendI64(thrift.AppendField(b, wire.I64, 1), 0)
		return thrift.AppendString(thrift.AppendField(b, wire.String, 2), filter)
	})
}

const (
	head      = 4 + 4 + 3 + 4 // of a message whose method has three letters
	idAt      = head + 3
	getReply  = head + 3 + 4 + 200 + 1
	emptyHead = head + 2
)

// emptyCall is a call of empty.
func emptyCall() []byte {
	return message("empty", func(b []byte) []byte { return thrift.AppendI32(thrift.AppendField(b, wire.I32, 1), 7) })
}

const emptyReply = emptyHead + 3 + 4 + 1

// connect makes n callers. keys is how many ids they ask for; 0: the request stays as it is. depth is how many calls each writes at once.
func connect(address string, n, depth int, request []byte, reply int, keys uint64) (*callers, error) {
	c := &callers{size: depth * reply, keys: keys, depth: depth, reply: make([]byte, n*depth*reply), random: make([]uint64, n)}
	request = bytes.Repeat(request, depth)
	network, at := child.Place(address)
	for i := range n {
		nc, err := net.Dial(network, at)
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns, c.request = append(c.conns, nc), append(c.request, append([]byte(nil), request...))
		c.random[i] = uint64(i) + 1
	}
	return c, nil
}

func (c *callers) close() {
	for _, nc := range c.conns {
		_ = nc.Close()
	}
}

// call is one call of one caller, or as many as it writes at once.
func (c *callers) call(_ context.Context, worker int) load.Result {
	nc, request, reply := c.conns[worker], c.request[worker], c.reply[worker*c.size:(worker+1)*c.size]
	for i := 0; i < c.depth && c.keys > 0; i++ {
		c.random[worker] = c.random[worker]*6364136223846793005 + 1442695040888963407
		binary.BigEndian.PutUint64(request[i*len(request)/c.depth+idAt:], c.random[worker]>>33%c.keys)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second)) // fails on a closed connection, and so does what follows
	if _, err := nc.Write(request); err != nil {
		return load.Result{Err: err}
	}
	if _, err := io.ReadFull(nc, reply); err != nil {
		return load.Result{Err: err}
	}
	if reply[3] != byte(wire.Reply) {
		return load.Result{Err: errReply}
	}
	return load.Result{}
}
