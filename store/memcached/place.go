package memcached

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// An ID is at home on the node whose point comes next on the ring. While that node is out, another one stands in for it. So that nothing comes
// back that was kept while others were asked, and purged, each node keeps an epoch for each home that it serves, drawn at random, which is a part
// of the keys of all items that are kept there for it:
//
//   - A gateway that had to purge something elsewhere gives the node a new epoch, for that home, before it asks it again.
//   - A gateway that asks a node again gives those that stood in for it new epochs, and what they have for it lives on for a minute only
//     anyway when nobody asks for it. What was asked of them meanwhile is asked anew.
//   - Each request asks for the epoch besides, so that a new one holds for all gateways at once.
//   - A node that was started anew, or has lost its epoch, is given a new one.
//
// That has limits. Gateways find out by themselves that a node is out, or back: while one asks the home and another one does not, for longestPause
// and a little more at most, either may be answered with what the other one has purged. And where a gateway ends while a node is out, nobody
// knows any more what that node has missed of it.
type epoch struct {
	now  atomic.Uint64 // what this gateway knows; 0: nothing
	old  atomic.Bool   // a new one is to be made
	lock chan struct{} // of who asks or changes it
}

// known returns the epoch that holds, or 0.
func (e *epoch) known() uint64 {
	if e.old.Load() { // first: it is set before a purge ends, and gone only when now is 0
		return 0
	}
	return e.now.Load()
}

// standInLife is how long the epoch of a node that stands in lives on when nobody asks.
const standInLife = time.Minute

// ErrNone is returned while all servers are out.
var ErrNone = errors.New("memcached: no server answers")

var errEpoch = errors.New("memcached: where things are kept has changed time and again")

// place is where items are.
type place struct {
	home, node int
	epoch      uint64
}

func (s *Store) epochOf(home, node int) *epoch { return &s.epochs[home*len(s.nodes)+node] }

// locate returns the place of an ID. What is to be purged is purged there; that the nodes before it on the ring miss that is noted.
func (s *Store) locate(ctx context.Context, c *command, purge bool) (place, error) {
	home, at := -1, -1
	s.ring.walk(c.id, func(node int) bool {
		if home < 0 {
			home = node
		}
		if s.nodes[node].out.Load() {
			if purge {
				s.epochOf(home, node).old.Store(true)
			}
			return true
		}
		at = node
		return false
	})
	if at < 0 {
		return place{home: home, node: home}, ErrNone
	}
	e, err := s.epoch(ctx, home, at)
	return place{home, at, e}, err
}

// epoch returns the epoch of what a node keeps for a home: it asks for it the first time, and makes one where there is none or it is old.
func (s *Store) epoch(ctx context.Context, home, node int) (uint64, error) {
	e := s.epochOf(home, node)
	if now := e.known(); now != 0 {
		return now, nil
	}
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if now := e.known(); now != 0 {
		return now, nil
	}
	e.now.Store(0) // first: nobody is to take it for good while another one is made
	old := e.old.Swap(false)
	now, err := s.agree(ctx, home, node, old)
	if err != nil {
		if old {
			e.old.Store(true)
		}
		return 0, err
	}
	e.now.Store(now)
	return now, nil
}

// agree makes an epoch, of 16 hexadecimal digits, where there is none or in place of the one that is there, and returns the one that is there then.
func (s *Store) agree(ctx context.Context, home, node int, replace bool) (uint64, error) {
	mode := " ME"
	for range 2 {
		if replace {
			mode = ""
		}
		r := newRequest(2)
		made := max(1, rand.Uint64()&^overValue)
		r.bytes = fmt.Appendf(nil, "ms %s 16%s%s O%d\r\n%016x\r\n", s.nodes[home].epochKey, mode, epochLife(home, node), r.opaque, made)
		r.bytes = s.appendAskEpoch(r.bytes, home, node, r.opaque+1)
		wait, err := s.nodes[node].do(ctx, r)
		if err == nil {
			err = wait()
		}
		if err == nil && r.replies[0].code == refused {
			err = errRefused
		}
		if err != nil {
			return 0, err
		}
		if now := parseEpoch(r.replies[1].value); now != 0 {
			return now, nil
		}
		replace = true // what is there is none
	}
	return 0, errEpoch
}

// appendAskEpoch writes the command that asks for an epoch, and keeps that of a node that stands in.
func (s *Store) appendAskEpoch(b []byte, home, node int, opaque uint64) []byte {
	b = append(append(append(b, "mg "...), s.nodes[home].epochKey...), " v"...)
	if home != node {
		b = append(b, epochLife(home, node)...)
	}
	return append(strconv.AppendUint(append(b, " O"...), opaque, 10), "\r\n"...)
}

// epochLife is the flag for how long an epoch lives: for ever at home.
func epochLife(home, node int) string {
	if home == node {
		return " T0"
	}
	return " T" + strconv.FormatInt(seconds(standInLife), 10)
}

// epochKey is namespace:e and 16 letters, of the home's name.
func epochKey(namespace, home string) string {
	h := sha256.Sum256([]byte(home))
	return namespace + ":e" + base64.RawURLEncoding.EncodeToString(h[:12])
}

// parseEpoch is 0 where b is none.
func parseEpoch(b []byte) uint64 {
	e, err := strconv.ParseUint(string(b), 16, 63)
	if err != nil || len(b) != 16 {
		return 0
	}
	return e
}

// confirms reports whether a place's epoch is still the one that is there, and takes in the other one.
func (s *Store) confirms(p place, answer reply) bool {
	now := parseEpoch(answer.value)
	if now == p.epoch {
		return true
	}
	s.epochOf(p.home, p.node).now.CompareAndSwap(p.epoch, now)
	return false
}

// returned makes void what others have kept in place of a node that is back, or of another one that is out, beyond it on the ring. It is called
// before the node can be out again. What it returns does the same for other gateways, and makes new epochs on the node, where it has missed
// purges.
func (s *Store) returned(back int) (after func(ctx context.Context)) {
	var standIns []place
	for home := range s.nodes {
		for node := range s.nodes {
			e := s.epochOf(home, node)
			if node != home && node != back && (e.now.Load() != 0 || len(e.lock) > 0) { // it is in use, or about to be
				e.old.Store(true)
				standIns = append(standIns, place{home: home, node: node})
			}
		}
	}
	s.returns.Add(1)
	return func(ctx context.Context) {
		for home := range s.nodes {
			if s.epochOf(home, back).old.Load() {
				_, _ = s.epoch(ctx, home, back) // or it is made before the first request
			}
		}
		for _, p := range standIns {
			s.dropEpoch(ctx, p.home, p.node)
		}
	}
}

func (s *Store) dropEpoch(ctx context.Context, home, node int) {
	if s.nodes[node].out.Load() {
		return
	}
	r := newRequest(1)
	r.bytes = fmt.Appendf(nil, "md %s O%d\r\n", s.nodes[home].epochKey, r.opaque)
	if wait, err := s.nodes[node].do(ctx, r); err == nil {
		_ = wait()
	}
}
