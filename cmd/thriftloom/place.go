package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/gateway/handover"
)

// The files in the state folder that say who holds it.
const (
	lockFile = "lock"
	doorFile = "handover.sock"
)

// holdWait is how long a new process waits for one that is starting, or on its way out, to let go of the state folder.
const (
	holdWait = 5 * time.Second
	holdPoll = 50 * time.Millisecond
)

// place is this process's hold on the state folder: one gateway has it, and the next one takes it over. The zero value holds nothing.
type place struct {
	self    handover.Peer
	lock    handover.File
	door    *handover.Door   // where the next process knocks
	taker   *handover.Taker  // nil where no process is to be replaced
	offer   *handover.Offer  // what that one has
	sockets *gateway.Sockets // that are open already
}

// findPlace takes the state folder of the config: from a gateway that serves, which is asked to hand over what it has, or for itself. Where
// the folder cannot be written to there is no handover, which is told and is no error.
func findPlace(ctx context.Context, cfg *gateway.Config, log *slog.Logger, takeover bool) (*place, error) {
	p := &place{self: handover.Peer{Program: readVersion().Version, PID: os.Getpid(), Config: cfg.Resolved.Files[0]}, sockets: &gateway.Sockets{}}
	state := cfg.Resolved.State
	asks := p.self
	asks.Looks = !takeover
	if cfg.State != "" || state != filepath.Join(filepath.Dir(asks.Config), ".thriftloom") {
		asks.Config = "" // whoever names a folder means the gateway that has it, wherever its config is kept
	}
	for until := time.Now().Add(holdWait); ; time.Sleep(holdPoll) {
		taker, err := handover.Dial(ctx, filepath.Join(state, doorFile), asks)
		if err == nil {
			return p, p.ask(ctx, taker, state, takeover)
		}
		if refused := (*handover.RefusedError)(nil); errors.As(err, &refused) {
			return nil, fmt.Errorf("the gateway that holds %s does not hand over: %w", state, err)
		}
		if err != handover.ErrNobody && !errors.Is(err, syscall.EINVAL) { // a path that is too long is told by hold
			return nil, err
		}
		if err = p.hold(state); err == nil {
			return p, nil
		}
		switch {
		case !errors.Is(err, handover.ErrHeld):
			if !errors.Is(err, handover.ErrUnsupported) {
				log.Warn("this gateway cannot be replaced without a gap: the state folder cannot be used", "folder", state, "error", err)
			}
			return p, nil
		case ctx.Err() != nil || time.Now().After(until):
			return nil, fmt.Errorf("%w: %s, and it does not answer at %s", handover.ErrHeld, state, doorFile)
		}
	}
}

// hold takes the folder for this process.
func (p *place) hold(state string) error {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	lock, err := handover.Lock(filepath.Join(state, lockFile))
	if err != nil {
		return err
	}
	if p.door, err = handover.Open(filepath.Join(state, doorFile)); err != nil {
		_ = lock.Close()
		return err
	}
	p.lock = lock
	return nil
}

// ask takes the offer of the gateway that serves.
func (p *place) ask(ctx context.Context, taker *handover.Taker, state string, takeover bool) error {
	if !takeover {
		taker.Close()
		return fmt.Errorf("a gateway (process %d, %s) holds %s, and --no-takeover says not to take its place", taker.Peer.PID, taker.Peer.Program, state)
	}
	offer, err := taker.Offer(ctx)
	if err != nil {
		taker.Close()
		return err
	}
	p.taker, p.offer = taker, offer
	p.sockets.Shut = true // until this process serves
	for i, l := range offer.Listeners {
		offer.Listeners[i].Socket = nil
		if err := p.sockets.TakeOver(l); err != nil {
			p.release()
			return fmt.Errorf("handover: listener %s: %w", l.ID, err)
		}
	}
	return nil
}

// replicas returns those of the process before, which are the caller's from here on.
func (p *place) replicas() (all []handover.Replica) {
	if p.offer != nil {
		all, p.offer.Replicas = p.offer.Replicas, nil
	}
	return all
}

// serving makes the folder this process's own: the one before it hands over what it has.
func (p *place) serving(ctx context.Context, taken handover.Taken) error {
	if err := p.taker.Serving(ctx, taken); err != nil && !p.taker.Yielded(ctx) {
		return err
	}
	p.lock, p.offer.Lock = p.offer.Lock, nil
	door, err := handover.DoorOf(p.offer.Door)
	p.offer.Door = nil
	if err != nil {
		return err
	}
	p.door = door
	return nil
}

// release lets go of the folder, so that another process can have it, and gives up a takeover that is not through.
func (p *place) release() {
	if p.taker != nil {
		p.taker.Close()
	}
	if p.offer != nil {
		p.offer.Close()
	}
	if p.door != nil {
		_ = p.door.Close()
		p.door = nil
	}
	p.unlock()
}

// leave is release where another process has the folder now.
func (p *place) leave() {
	if p.door != nil {
		_ = p.door.Leave()
		p.door = nil
	}
	p.unlock()
}

func (p *place) unlock() {
	if p.lock != nil {
		_ = p.lock.Close()
		p.lock = nil
	}
}
