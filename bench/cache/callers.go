package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/bench/child"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/wire"
	thrift "github.com/thriftloom/thriftloom/wire/binary"
)

// asked is what callers do: each has a connection, on ThriftPy's default wire (unframed strict binary), and makes its next call when the one before
// is answered.
type asked struct {
	address string
	callers int
	depth   int // calls that each writes at once
	request []byte
	reply   int    // bytes of a reply
	keys    uint64 // the ids that are asked for, at random; 0: the request stays as it is
	time    time.Duration
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

// caller is one connection. It is driven by an engine of the gateway's kind, as wrk and redis-benchmark drive theirs: a call costs it a read and a
// write, so that what is measured on a machine of two cores is the server and not who calls it.
type caller struct {
	*asked
	conn    netio.Conn
	request []byte
	random  uint64
	until   time.Time
	sent    time.Time
	took    []time.Duration
	closed  func(error)
}

// next writes the next calls. The ones before are answered: the bytes of the request are nobody's any more.
func (c *caller) next(now time.Time) {
	for i := 0; i < c.depth && c.keys > 0; i++ {
		c.random = c.random*6364136223846793005 + 1442695040888963407
		binary.BigEndian.PutUint64(c.request[i*len(c.request)/c.depth+idAt:], c.random>>33%c.keys)
	}
	c.sent = now
	_ = c.conn.Send(nil, c.request) // fails on a closed connection, and Closed is told why
}

// Receive implements netio.Receiver.
func (c *caller) Receive(b []byte) (used, need int) {
	size := c.depth * c.reply
	if len(b) < size {
		return 0, size
	}
	for i := range c.depth {
		if b[i*c.reply+3] != byte(wire.Reply) {
			c.conn.Close(errReply)
			return size, size
		}
	}
	now := time.Now()
	c.took = append(c.took, now.Sub(c.sent))
	if now.After(c.until) {
		c.conn.Finish()
	} else {
		c.next(now)
	}
	return size, size
}

// Ended implements netio.Receiver.
func (c *caller) Ended() { c.conn.Close(io.ErrUnexpectedEOF) }

// Closed implements netio.Receiver.
func (c *caller) Closed(err error) { c.closed(err) }

// run makes the calls and returns what they came to.
func (a asked) run(ctx context.Context) (s sample, calls int, err error) {
	engine, err := netio.NewEpoll(1)
	if err != nil {
		return s, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.time+20*time.Second)
	var ran, open sync.WaitGroup
	defer ran.Wait()
	defer cancel()
	ran.Go(func() { _ = engine.Run(ctx) })
	all := make([]*caller, a.callers)
	failed := make(chan error, a.callers)
	network, at := child.Place(a.address)
	for i := range all {
		nc, err := net.Dial(network, at)
		if err != nil {
			return s, 0, err
		}
		c := &caller{asked: &a, random: uint64(i) + 1, request: bytes.Repeat(a.request, a.depth)}
		open.Add(1)
		c.closed = func(err error) {
			if err != nil {
				failed <- err
			}
			open.Done()
		}
		c.conn = engine.Start(nc, netio.Options{}, func(netio.Conn) netio.Receiver { return c })
		all[i] = c
	}
	began := time.Now()
	for _, c := range all {
		c.until = began.Add(a.time)
		c.next(time.Now())
	}
	open.Wait()
	spent := time.Since(began)
	select {
	case err = <-failed:
		return s, 0, fmt.Errorf("a call failed: %w", err)
	default:
	}
	var took []time.Duration
	for _, c := range all {
		took = append(took, c.took...)
	}
	slices.Sort(took)
	calls = len(took) * a.depth
	us := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))]) / float64(time.Microsecond) }
	return sample{rate: float64(calls) / spent.Seconds(), p50: us(0.50), p99: us(0.99), cpu: math.NaN(), mallocs: math.NaN()}, calls, nil
}

// fill asks for each key once.
func fill(address string) error {
	network, at := child.Place(address)
	nc, err := net.Dial(network, at)
	if err != nil {
		return err
	}
	defer nc.Close()
	request, reply := getCall(), make([]byte, getReply)
	for id := range uint64(keys) {
		binary.BigEndian.PutUint64(request[idAt:], id)
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = nc.Write(request) // where it fails, so does what follows
		if _, err := io.ReadFull(nc, reply); err != nil {
			return err
		}
		if reply[3] != byte(wire.Reply) {
			return errReply
		}
	}
	return nil
}
