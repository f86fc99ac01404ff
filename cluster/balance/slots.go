// Package balance chooses the endpoint for an attempt.
//
// A picker is a pure state machine: it holds counts, not connections, and is driven by Pick and Done under its owner's lock. Time and
// random numbers come from outside.
package balance

import (
	"errors"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Errors of Pick.
var (
	ErrBusy       = errors.New("every slot is taken")
	ErrNoEndpoint = errors.New("no endpoint is up")
)

// The wait before an endpoint that could not be reached is tried again: it doubles with each failure in a row.
const (
	firstDown = 100 * time.Millisecond
	maxDown   = 5 * time.Second
)

// doubt is how many failures in a row it takes until an endpoint counts as gone: a single one may be a full backlog, and calls had
// better wait a moment than fail.
const doubt = 3

// Node is one endpoint as a picker sees it. It is its own ticket: Pick takes one of its slots, Done gives it back.
type Node struct {
	Endpoint rpc.Endpoint
	Slots    int       // calls at most; 0: none for now
	InFlight int       // slots taken
	Closing  int       // connections without a call that are not quite closed: each takes the place of a call
	Failures int       // attempts in a row that did not reach it
	DownTill time.Time // not before then; while Failures > 0 one call at a time finds out whether it is back
}

// Up reports whether the node takes calls at now.
func (n *Node) Up(now time.Time) bool { return n.Failures == 0 || !now.Before(n.DownTill) }

func (n *Node) limit() int {
	if n.Failures > 0 {
		return min(1, n.Slots)
	}
	return n.Slots
}

// Slots picks by late binding: a call gets an endpoint only when one has a free slot, and of those the one with the fewest calls in
// flight, at random among equals. Where none has, the call stays with the owner, in the one queue that all endpoints share.
//
// Not safe for concurrent use: the owner's lock guards it.
type Slots struct {
	nodes  []*Node
	random func(n int) int // 0 … n-1
}

// NewSlots returns a picker without endpoints. random draws from 0 … n-1.
func NewSlots(random func(n int) int) *Slots { return &Slots{random: random} }

// Add puts an endpoint in.
func (s *Slots) Add(e rpc.Endpoint) *Node {
	n := &Node{Endpoint: e, Slots: max(1, e.Slots)}
	s.nodes = append(s.nodes, n)
	return n
}

// Return puts a node in again that Remove has taken out.
func (s *Slots) Return(n *Node) { s.nodes = append(s.nodes, n) }

// Remove takes a node out. Its tickets still go back to Done.
func (s *Slots) Remove(n *Node) {
	for i, x := range s.nodes {
		if x == n {
			s.nodes = append(s.nodes[:i:i], s.nodes[i+1:]...)
			return
		}
	}
}

// Nodes returns the endpoints, in the order in which they were added. The slice is valid until the next Add or Remove.
func (s *Slots) Nodes() []*Node { return s.nodes }

// Pick takes a slot for one attempt. An endpoint that call.Avoid names is taken only where no other has a free slot. The error is
// ErrBusy where a call had better wait: all slots are taken, or no endpoint is up and one of them failed less than three times in a
// row; else ErrNoEndpoint.
func (s *Slots) Pick(call *rpc.Call, now time.Time) (*Node, error) {
	var best *Node
	var avoided, ties int
	err := ErrNoEndpoint
	for _, n := range s.nodes {
		if n.Up(now) || n.Failures < doubt {
			err = ErrBusy
		}
		if !n.Up(now) {
			continue
		}
		if n.InFlight+n.Closing >= n.limit() {
			continue
		}
		avoid := 0
		if n.Endpoint.Name == call.Avoid {
			avoid = 1
		}
		switch {
		case best == nil || avoid < avoided || avoid == avoided && n.InFlight < best.InFlight:
			best, avoided, ties = n, avoid, 1
		case avoid == avoided && n.InFlight == best.InFlight:
			if ties++; s.random(ties) == 0 { // each of the equals with the same chance
				best = n
			}
		}
	}
	if best == nil {
		return nil, err
	}
	best.InFlight++
	return best, nil
}

// Done gives the slot back, with what became of the attempt. An endpoint that could not be reached is down for a while; whatever it
// answers, or fails to answer, proves that it is there.
func (s *Slots) Done(n *Node, o rpc.Outcome, now time.Time) {
	n.InFlight--
	switch rpc.Classes[o].Health {
	case rpc.Unreachable:
		n.Failures++
		n.DownTill = now.Add(min(firstDown<<min(n.Failures-1, 10), maxDown))
	case rpc.Alive:
		n.Failures = 0
	}
}
