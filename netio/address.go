package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// maxPathBytes bounds a unix socket's path: what Linux's sockaddr_un holds beside its final zero.
const maxPathBytes = 107

// ParseAddress splits "host:port" and "unix:/path" into the network and the address that package net knows. The host may be empty
// (every address of the machine) and the port zero (any); neither is looked up.
func ParseAddress(address string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		switch {
		case path == "":
			return "", "", fmt.Errorf("address %q: no path", address)
		case len(path) > maxPathBytes:
			return "", "", fmt.Errorf("address %q: path is %d bytes, at most %d fit a unix socket", address, len(path), maxPathBytes)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.Contains(host, "/") {
		return "", "", fmt.Errorf("address %q: want host:port or unix:/path", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("address %q: port %q is no number from 0 to 65535", address, port)
	}
	return "tcp", address, nil
}

// Listen opens address. A socket file whose server has died, so that a connect to it is refused, is removed first; one that answers,
// and any other file, is left alone and an error. Closing the listener removes the file.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	network, addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		removeStale(ctx, addr)
	}
	var config net.ListenConfig
	return config.Listen(ctx, network, addr)
}

func removeStale(ctx context.Context, path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return
	}
	var d net.Dialer
	probe, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = probe.Close()
	case errors.Is(err, errRefused):
		_ = os.Remove(path) // where this fails, so does the listening, and says why
	}
}

// Dial connects to address within ctx and starts the connection on e.
func Dial(ctx context.Context, e Engine, address string, opts Options, attach func(Conn) Receiver) (Conn, error) {
	network, addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return e.Start(nc, opts, attach), nil
}

// HostOf names a peer's host: by its IPv4 address, or by the /64 network of its IPv6 address, which is what one host is given; "" on a unix
// socket. local: it is this machine.
func HostOf(addr net.Addr) (name string, local bool) {
	if addr.Network() == "unix" {
		return "", true
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String(), false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host, false
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String(), ip.IsLoopback()
	}
	return netip.PrefixFrom(ip, 64).Masked().String(), false
}
