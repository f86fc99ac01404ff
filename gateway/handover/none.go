//go:build !linux

package handover

import (
	"context"
	"errors"
	"net"
)

// errNone is why there is no door.
var errNone = errors.New("handover: built for Linux only")

// Door has no value here.
type Door struct{}

// Giver has no value here.
type Giver struct{ Peer Peer }

// Taker has no value here.
type Taker struct{ Peer Peer }

func Open(string) (*Door, error)                         { return nil, errNone }
func DoorOf(File) (*Door, error)                         { return nil, errNone }
func ListenerOf(File) (net.Listener, error)              { return nil, errNone }
func ConnOf(File) (net.Conn, error)                      { return nil, errNone }
func Dial(context.Context, string, Peer) (*Taker, error) { return nil, ErrNobody }

func (*Door) Socket() File                                 { return nil }
func (*Door) Close() error                                 { return nil }
func (*Door) Leave() error                                 { return nil }
func (*Door) Accept(context.Context, Peer) (*Giver, error) { return nil, errNone }

func (*Giver) Refuse(context.Context, string)              {}
func (*Giver) Offer(context.Context, Offer) (Taken, error) { return Taken{}, errNone }
func (*Giver) Give(context.Context, Connection) error      { return errNone }
func (*Giver) End(context.Context) error                   { return errNone }
func (*Giver) Failed() bool                                { return true }

func (*Taker) Offer(context.Context) (*Offer, error)    { return nil, errNone }
func (*Taker) Serving(context.Context, Taken) error     { return errNone }
func (*Taker) Next(context.Context) (Connection, error) { return Connection{}, errNone }
func (*Taker) Close()                                   {}
