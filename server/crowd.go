package server

import (
	"net"
	"strconv"

	"github.com/thriftloom/thriftloom/netio"
)

// crowd counts the open connections of each caller's address, so that one cannot take them all. Server.mu guards it.
type crowd map[string]int

// full reports whether group may have no more connections.
func (c crowd) full(group string, most int) bool { return group != "" && c[group] >= most }

func (c crowd) add(group string) { c[group]++ }

func (c crowd) remove(group string) {
	if c[group]--; c[group] <= 0 {
		delete(c, group)
	}
}

// groupOf names what a connection is counted in: the address that it comes from. "" for none: by default connections of this machine are
// not counted, since all callers here have one address, and those on unix sockets have none at all.
func (s *Server) groupOf(nc net.Conn) string {
	group, local := netio.HostOf(nc.RemoteAddr())
	if local && !s.cfg.countLocal {
		return ""
	}
	return group
}

// shareOf names who waits with others in one turn where calls wait for a slot: the callers of one address; of this machine it is the
// connection.
func shareOf(nc net.Conn, number int64) string {
	group, local := netio.HostOf(nc.RemoteAddr())
	if local {
		return "connection " + strconv.FormatInt(number, 10)
	}
	return group
}
