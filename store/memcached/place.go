package memcached

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
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
//   - A gateway that asks the home again gives those that stood in for it new epochs, and what they have for it lives on for a minute only
//     anyway when nobody asks for it.
//   - Each request asks for the epoch besides, so that a new one holds for all gateways at once.
//   - A node that was started anew, or has lost its epoch, is given a new one.
//
// That has limits. Gateways find out by themselves that a node is out, or back: while one asks the home and another one does not, for longestPause
// and a little more at most, either may be answered with what the other one has purged. And a gateway that ends while a node is out takes along that it
// has purged something.
type epoch struct {
	now  atomic.Uint64 // what this gateway knows; 0: nothing
	old  atomic.Bool   // a new one is to be made
	lock chan struct{} // of who asks or changes it
}

// standInLife is how long the epoch of a node that stands in lives on when nobody asks.
const standInLife = time.Minute

// ErrNone is returned while all servers are out.
var ErrNone = errors.New("memcached: no server answers")

var errEpoch = errors.New("memcached: the epoch of what a server keeps has changed time and again")

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
	if now := e.now.Load(); now != 0 && !e.old.Load() {
		return now, nil
	}
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if now := e.now.Load(); now != 0 && !e.old.Load() {
		return now, nil
	}
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

// agree makes an epoch, where there is none or in place of the one that is there, and returns the one that is there then.
func (s *Store) agree(ctx context.Context, home, node int, replace bool) (uint64, error) {
	mode := " ME"
	for range 2 {
		if replace {
			mode = ""
		}
		r := newRequest(2)
		r.bytes = append(s.appendEpochKey(append(r.bytes, "ms "...), home), " 16"...)
		r.bytes = append(append(r.bytes, mode...), s.epochLife(home, node)...)
		r.bytes = append(strconv.AppendUint(append(r.bytes, " O"...), r.opaque, 10), "\r\n"...)
		r.bytes = append(appendEpoch(r.bytes, max(1, rand.Uint64()&^overValue)), "\r\n"...)
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
	b = append(s.appendEpochKey(append(b, "mg "...), home), " v"...)
	if home != node {
		b = append(b, s.epochLife(home, node)...)
	}
	return append(strconv.AppendUint(append(b, " O"...), opaque, 10), "\r\n"...)
}

// epochLife is the flag for how long an epoch lives: for ever at home.
func (s *Store) epochLife(home, node int) string {
	if home == node {
		return " T0"
	}
	return " T" + strconv.FormatInt(seconds(standInLife), 10)
}

// appendEpochKey writes namespace:e and 16 letters, of the home's name.
func (s *Store) appendEpochKey(b []byte, home int) []byte {
	h := sha256.Sum256([]byte(s.nodes[home].name()))
	return base64.RawURLEncoding.AppendEncode(append(append(b, s.config.Namespace...), ":e"...), h[:12])
}

// appendEpoch writes 16 hexadecimal digits.
func appendEpoch(b []byte, e uint64) []byte {
	digits := strconv.AppendUint(nil, e, 16)
	return append(append(b, "0000000000000000"[len(digits):]...), digits...)
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

// returned makes new epochs on a node that is back, where it has missed purges, and makes void what others have kept in its place.
func (s *Store) returned(back int) {
	ctx, cancel := context.WithTimeout(s.life.ctx, maxTries*s.config.Timeout)
	defer cancel()
	for home := range s.nodes {
		if s.epochOf(home, back).old.Load() {
			_, _ = s.epoch(ctx, home, back) // or it is made before the first request
		}
	}
	for node := range s.nodes {
		if e := s.epochOf(back, node); node != back && e.now.Swap(0) != 0 {
			e.old.Store(true) // a new one is made here in any case; without one, other gateways make one too
			s.dropEpoch(ctx, back, node)
		}
	}
}

func (s *Store) dropEpoch(ctx context.Context, home, node int) {
	if s.nodes[node].out.Load() {
		return
	}
	r := newRequest(1)
	r.bytes = s.appendEpochKey(append(r.bytes, "md "...), home)
	r.bytes = append(strconv.AppendUint(append(r.bytes, " O"...), r.opaque, 10), "\r\n"...)
	if wait, err := s.nodes[node].do(ctx, r); err == nil {
		_ = wait()
	}
}
