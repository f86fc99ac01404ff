package netio

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

// Two listeners share a port, each gets connections, and the one that is left gets all; one that does not share is told that it is in use.
func TestListenShared(t *testing.T) {
	a, err := ListenShared(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	address := a.Addr().String()
	b, err := ListenShared(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if l, err := Listen(t.Context(), address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a third that does not share: %v, %v", l, err)
	}
	accept := func(l net.Listener, got chan<- net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			got <- l
		}
	}
	got := make(chan net.Listener, 1)
	go accept(a, got)
	go accept(b, got)
	dial := func() net.Listener {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return <-got
	}
	met := map[net.Listener]int{}
	for range 64 { // all at one of two: once in 2^63 runs
		met[dial()]++
	}
	if len(met) != 2 {
		t.Errorf("of 64 connections one got all")
	}
	_ = a.Close()
	for range 16 {
		if dial() != b {
			t.Error("the one that has ended got a connection")
		}
	}
	if l, err := ListenShared(t.Context(), "unix:/x"); err == nil {
		t.Errorf("a unix socket: %v", l)
	}
}
