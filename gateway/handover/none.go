//go:build !linux

package handover

import (
	"context"
	"net"
	"os"
)

// Door has no value here.
type Door struct{}

// Giver has no value here.
type Giver struct{ Peer Peer }

// Taker has no value here.
type Taker struct{ Peer Peer }

func Lock(string) (*os.File, error)                      { return nil, ErrUnsupported }
func Open(string) (*Door, error)                         { return nil, ErrUnsupported }
func DoorOf(File) (*Door, error)                         { return nil, ErrUnsupported }
func ListenerOf(File) (net.Listener, error)              { return nil, ErrUnsupported }
func ConnOf(File) (net.Conn, error)                      { return nil, ErrUnsupported }
func Dial(context.Context, string, Peer) (*Taker, error) { return nil, ErrNobody }

func (*Door) Socket() File                                 { return nil }
func (*Door) Close() error                                 { return nil }
func (*Door) Leave() error                                 { return nil }
func (*Door) Accept(context.Context, Peer) (*Giver, error) { return nil, ErrUnsupported }

func (*Giver) Refuse(context.Context, string)              {}
func (*Giver) Offer(context.Context, Offer) (Taken, error) { return Taken{}, ErrUnsupported }
func (*Giver) Give(context.Context, Connection) error      { return ErrUnsupported }
func (*Giver) End(context.Context) error                   { return ErrUnsupported }
func (*Giver) Close()                                      {}
func (*Giver) Failed() bool                                { return true }

func (*Taker) Offer(context.Context) (*Offer, error)    { return nil, ErrUnsupported }
func (*Taker) Serving(context.Context, Taken) error     { return ErrUnsupported }
func (*Taker) Yielded(context.Context) bool             { return false }
func (*Taker) Next(context.Context) (Connection, error) { return Connection{}, ErrUnsupported }
func (*Taker) Close()                                   {}
