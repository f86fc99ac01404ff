package memcached

import (
	"context"
	"errors"
)

// maxTries bounds how often one thing is asked for: connections may break, nodes be found to be out, and epochs change meanwhile.
const maxTries = 4

// batch is the commands that go to one place.
type batch struct {
	place    place
	request  *request
	commands []int
	wait     func() error
}

// how says how something is asked for.
type how int

const (
	again how = iota // once more where a connection has broken
	once             // never twice: what a second try says is not what the first has done
	purge            // again; and what misses it is void
)

// ask sends commands to where their items are, all at once, and returns the replies in their order.
func (s *Store) ask(ctx context.Context, h how, commands ...command) ([]reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	replies := make([]reply, len(commands))
	left := make([]int, len(commands))
	for i := range left {
		left[i] = i
	}
	var err error
	for range maxTries {
		if left, err = s.try(ctx, h, commands, replies, left); len(left) == 0 {
			return replies, nil
		}
		if ctx.Err() != nil || errors.Is(err, errClosed) || errors.Is(err, ErrNone) || h == once && !errors.Is(err, errEpoch) {
			break
		}
	}
	if h == purge {
		s.missed(commands, left)
	}
	return nil, err
}

// try sends the commands that are left once. It returns those that have to be sent once more, and why.
func (s *Store) try(ctx context.Context, h how, commands []command, replies []reply, left []int) (more []int, err error) {
	returns := s.returns.Load()
	batches, more, err := s.batches(ctx, h, commands, left)
	for _, b := range batches {
		var failed error
		if b.wait, failed = s.nodes[b.place.node].do(ctx, b.request); failed != nil {
			err, b.wait = failed, nil
		}
	}
	for _, b := range batches {
		if b.wait == nil {
			more = append(more, b.commands...)
			continue
		}
		failed := b.wait()
		if failed == nil && (!s.confirms(b.place, b.request.replies[0]) || s.returns.Load() != returns) {
			failed = errEpoch
		}
		if failed != nil {
			err, more = failed, append(more, b.commands...)
			continue
		}
		for i, command := range b.commands {
			replies[command] = b.request.replies[i+1]
			replies[command].epoch = b.place.epoch
		}
	}
	return more, err
}

// batches sorts commands by their places, of each of which the epoch is asked for first. Those that have none are left.
func (s *Store) batches(ctx context.Context, h how, commands []command, todo []int) (all []*batch, left []int, err error) {
	for _, i := range todo {
		p, failed := s.locate(ctx, &commands[i], h == purge)
		if failed != nil {
			left, err = append(left, i), failed
			continue
		}
		var b *batch
		for _, have := range all {
			if have.place == p && len(have.commands) < maxOfRequest-1 {
				b = have
			}
		}
		if b == nil {
			b = &batch{place: p}
			all = append(all, b)
		}
		b.commands = append(b.commands, i)
	}
	for _, b := range all {
		r := newRequest(1 + len(b.commands))
		r.bytes = s.appendAskEpoch(make([]byte, 0, 128*(1+len(b.commands))), b.place.home, b.place.node, r.opaque)
		for n, i := range b.commands {
			r.bytes = commands[i].append(r.bytes, s.config.Namespace, b.place.epoch, r.opaque+uint64(n+1))
		}
		b.request = r
	}
	return all, left, err
}

// missed notes that purges did not get through: what their nodes keep is void when they answer again.
func (s *Store) missed(commands []command, left []int) {
	for _, i := range left {
		home := -1
		s.ring.walk(commands[i].id, func(node int) bool {
			if home < 0 {
				home = node
			}
			s.epochOf(home, node).old.Store(true)
			return s.nodes[node].out.Load()
		})
	}
}
