package server

import (
	"net"
	"net/netip"
	"strconv"
)

// crowd counts the open connections of each caller's address, so that one cannot take them all. Server.mu guards it.
type crowd map[string]int

// add counts a connection of group unless it has most already.
func (c crowd) add(group string, most int) bool {
	if group == "" {
		return true
	}
	if c[group] >= most {
		return false
	}
	c[group]++
	return true
}

func (c crowd) remove(group string) {
	if c[group]--; c[group] <= 0 {
		delete(c, group)
	}
}

// groupOf names the address that a connection comes from: an IPv4 address, or the /64 network of an IPv6 address, which is what one host
// is given. "" for unix sockets, whose ends have no address.
func groupOf(addr net.Addr) string {
	if addr.Network() == "unix" {
		return ""
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	network, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}

// shareOf names who waits with others in one turn where calls wait for a slot: the callers of one address. Of this machine, where all
// have the same address or none, it is the connection.
func shareOf(group string, connection int64) string {
	if ip, err := netip.ParseAddr(group); group == "" || group == "::/64" || err == nil && ip.IsLoopback() {
		return "connection " + strconv.FormatInt(connection, 10)
	}
	return group
}
