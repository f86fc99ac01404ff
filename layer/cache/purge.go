package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Purge makes all replies of the service void, in this process at once and in the stores. An error is of a store that cannot be told now: it
// will be, as soon as it answers.
func (s *State) Purge(ctx context.Context, at Place) error {
	id := at.serviceID()
	return s.void(ctx, nil, []ID{id}, id)
}

// PurgeMethod is Purge for the replies of a method.
func (s *State) PurgeMethod(ctx context.Context, at Place, method string) error {
	return s.void(ctx, nil, []ID{at.methodID(method)}, at.serviceID())
}

// PurgeTag is Purge for the replies with a tag.
func (s *State) PurgeTag(ctx context.Context, at Place, tag string) error {
	return s.void(ctx, nil, []ID{at.tagID(tag)}, at.serviceID())
}

// PurgeCall is Purge for the replies to a call, whoever makes it. Of the call it looks at the method, the protocol and the body.
func (s *State) PurgeCall(ctx context.Context, p Policy, call *rpc.Call) error {
	id, why := callID(&p.prefix, p.arguments, call)
	if why != 0 {
		return unnamed(why)
	}
	groups := []ID{id}
	if p.shared() {
		groups = nil
	}
	return s.void(ctx, []ID{id}, groups, p.place.serviceID())
}

// ErrUnnamed is the error for a call that is never answered from the cache.
var ErrUnnamed = errors.New("the call has no place in the cache")

func unnamed(why Bypass) error {
	return fmt.Errorf("%w: %s", ErrUnnamed, Bypasses[why])
}

// Found is a reply that is kept.
type Found struct {
	Entry *Entry
	Where string // near, or the store's name
	Age   time.Duration
	Left  time.Duration // that it is fresh; less than 0: for so long it is not
}

// Look returns what is kept of the reply to a call; ok is false where nothing is. It changes and counts nothing.
func (s *State) Look(ctx context.Context, p Policy, call *rpc.Call) (f Found, ok bool, err error) {
	n, why := p.name(call)
	if why != 0 {
		return f, false, unnamed(why)
	}
	now := time.Now()
	if e := s.find(n.reply); e != nil && e.at(now) != gone {
		return found(e, near, now), true, nil
	}
	g := s.store(p.Store)
	if g == nil {
		return f, false, nil
	}
	l := &load{method: &method{rules: p.rules, state: s}, guard: g, groups: p.groupsOf(call, n)}
	var got Stored
	err = g.do(ctx, func(ctx context.Context) (err error) {
		got, err = g.store.Get(ctx, n.reply, l.groups)
		return err
	})
	if e := l.read(got); err == nil && e != nil && e.at(now) != gone {
		return found(e, g.name, now), true, nil
	}
	return f, false, err
}

func found(e *Entry, where string, now time.Time) Found {
	age := now.Sub(e.Loaded)
	return Found{Entry: e, Where: where, Age: age, Left: e.Fresh - age}
}
