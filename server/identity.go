package server

import (
	"crypto/tls"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/thriftloom/thriftloom/netio"
)

// The bounds of what is taken from a certificate: it becomes the value of labels and of log lines.
const (
	maxIdentities    = 16
	maxIdentityBytes = 512
)

// userPrefix is before the name of a user who has logged in. No certificate can claim it.
const userPrefix = "user:"

// identities returns who the peer of c is by its certificate, and behind that by its login: "user:alice". verified says that it has either,
// whatever can be shown of it.
func identities(c net.Conn) (all []string, verified bool) {
	user, below := netio.UserOf(c)
	all, verified = certified(below)
	if usable(user) {
		all = append(all, userPrefix+user)
	}
	return all, verified || user != ""
}

// certified returns what a verified certificate says of the peer of c: its URIs, then its host names; its subject's common name where it
// has neither. nil where there is no certificate, or nobody has verified it.
func certified(c net.Conn) (all []string, verified bool) {
	secure, ok := c.(*tls.Conn)
	if !ok {
		return nil, false
	}
	state := secure.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil, false
	}
	leaf := state.PeerCertificates[0]
	for _, u := range leaf.URIs {
		all = append(all, u.String())
	}
	all = append(all, leaf.DNSNames...)
	if len(all) == 0 {
		all = append(all, leaf.Subject.CommonName)
	}
	kept := all[:0]
	for _, name := range all {
		if usable(name) && !strings.HasPrefix(name, userPrefix) && len(kept) < maxIdentities {
			kept = append(kept, name)
		}
	}
	return kept, true
}

// usable reports whether a name can be shown: a part of one would be another's name.
func usable(name string) bool {
	if name == "" || len(name) > maxIdentityBytes || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
