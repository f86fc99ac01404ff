package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/thriftloom/thriftloom/gateway/handover"
)

const (
	takeoverTime = 10 * time.Second       // above start_timeout, for a new process to become ready, before it gives up and the other one stays
	refusedPause = 100 * time.Millisecond // after a takeover that was refused
)

// takeOver takes the place of the process that was found, once this one is ready to serve. Until then that one serves, and goes on where
// this returns an error. It does nothing where none was found.
func (r *running) takeOver(ctx context.Context) error {
	p := r.place
	if p.taker == nil {
		return nil
	}
	before := p.taker.Peer
	r.log.Info("taking the place of another process", "process", before.PID, "version", before.Program)
	wait, cancel := context.WithTimeout(ctx, r.gateway.Config().StartTime()+takeoverTime)
	defer cancel()
	if err := r.await(wait, func() (bool, []string) { return r.gateway.Matches(p.offer.Up) }); err != nil && (ctx.Err() != nil || !p.taker.Yielded(ctx)) {
		return fmt.Errorf("process %d is not replaced, and serves on: %w", before.PID, err)
	}
	if err := p.serving(ctx, r.gateway.Taken()); err != nil {
		return fmt.Errorf("process %d is not replaced, and serves on: %w", before.PID, err)
	}
	r.gateway.Open()
	for _, s := range r.sites {
		s.listener.Open()
	}
	return nil
}

// takeConnections goes on with the callers' connections that are handed over, until the last one. What was taken over is this process's
// own from then on.
func (r *running) takeConnections(ctx context.Context) {
	taker := r.place.taker
	if taker == nil {
		return
	}
	n, err := 0, error(nil)
	for err == nil {
		var c handover.Connection
		if c, err = taker.Next(ctx); err != nil {
			continue
		}
		n++
		if err := r.gateway.Take(c); err != nil {
			r.log.Warn("a connection is lost", "listener", c.Listener, "error", err)
		}
	}
	taker.Close()
	if err == io.EOF {
		r.log.Info("the place of another process is taken", "process", taker.Peer.PID, "connections", n)
	} else { // it has died, or drains: it does not serve on, since this one does
		r.log.Warn("a handover was cut short", "process", taker.Peer.PID, "connections", n, "error", err)
	}
	r.gateway.Own()
	for _, s := range r.sites {
		s.listener.Own(true)
	}
	r.tell("READY=1") // again: the manager may have learned only now that this is the main process
}

// mindPlace hands this process's place over to the one that asks for it, and lets go of the state folder when the gateway drains, so that
// another can start meanwhile.
func (r *running) mindPlace(ctx context.Context) {
	p := r.place
	for p.door != nil {
		giver, err := p.door.Accept(ctx, p.self)
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			p.release()
			return
		case err != nil:
			r.log.Warn("a takeover was refused", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(refusedPause):
			}
		case r.handOver(ctx, giver):
			p.leave()
			return
		}
	}
}

// handOver hands everything over to the process that knocked, and reports whether that one serves now.
func (r *running) handOver(ctx context.Context, to *handover.Giver) (replaced bool) {
	if to.Peer.Looks {
		to.Close()
		return false
	}
	log := r.log.With("process", to.Peer.PID, "version", to.Peer.Program)
	offer, err := r.gateway.Offer()
	if err != nil {
		to.Refuse(ctx, err.Error())
		log.Warn("a takeover was refused", "error", err)
		return false
	}
	offer.Lock, offer.Door = r.place.lock, r.place.door.Socket()
	for _, s := range r.sites {
		if item, ok := s.listener.Item(s.id); ok {
			offer.Listeners = append(offer.Listeners, item)
			s.listener.Own(false)
		}
	}
	log.Info("another process takes over")
	took, err := to.Offer(ctx, offer)
	(&handover.Offer{Replicas: offer.Replicas}).Close() // copies, which are sent
	if ctx.Err() != nil {
		// This one drains: what it has offered is the other's.
		_ = to.End(context.WithoutCancel(ctx))
		return true
	}
	if err != nil {
		to.Close()
		r.gateway.Keep()
		r.keepSites()
		log.Error("the other process has not taken over; this one serves on", "error", err)
		return false
	}
	for _, s := range r.sites {
		s.listener.Shut()
	}
	r.replaced.Store(true)
	r.tell(fmt.Sprintf("MAINPID=%d", to.Peer.PID))
	if err := r.gateway.HandOver(ctx, to, took); err != nil {
		r.replaced.Store(false)
		r.tell(fmt.Sprintf("MAINPID=%d", os.Getpid()))
		r.keepSites()
		log.Error("the other process has ended; this one serves on", "error", err)
		return false
	}
	log.Info("another process has taken over")
	return true
}

// keepSites goes on with the sites where nobody took over.
func (r *running) keepSites() {
	for _, s := range r.sites {
		s.listener.Own(true)
		s.listener.Open()
	}
}
