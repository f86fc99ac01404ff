package authz

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// entry is one line of who may call. Exactly one field is set.
type entry struct {
	anyone   bool
	unix     bool         // whoever calls over a unix socket
	network  netip.Prefix // of addresses
	identity string       // of a certificate, as it stands there, or a user with userPrefix
	below    string       // what such an identity begins with; it ends with /
}

// Check returns why text is no entry of a list of callers.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// NeedsCertificate reports whether an entry, which is one, fits nobody without a certificate.
func NeedsCertificate(text string) bool {
	e, err := parse(text)
	return err == nil && (e.identity != "" || e.below != "") && !strings.HasPrefix(text, userPrefix)
}

// userPrefix is before the name of a user in a list, and in a caller's identities.
const userPrefix = "user:"

// parse reads an entry:
//
//   - anyone
//     unix                   whoever calls over a unix socket
//     10.0.0.0/8  10.0.0.7   addresses, of IPv6 too
//     spiffe://acme/web      the identity of a certificate: a URI, a host name or a common name
//     spiffe://acme/web/*    identities below it
//     user:alice             who has logged in so
func parse(text string) (e entry, err error) {
	switch {
	case text == "*":
		return entry{anyone: true}, nil
	case text == "unix":
		return entry{unix: true}, nil
	case text == "":
		return e, errors.New("is empty")
	case strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return e, errors.New("has space around it, or what cannot be printed in it")
	case strings.HasPrefix(text, userPrefix):
		if text == userPrefix {
			return e, errors.New("names no user")
		}
		return entry{identity: text}, nil
	case strings.Contains(text, "://"):
		return parseURI(text)
	case strings.ContainsAny(text, "/:") || strings.Trim(text, "0123456789.") == "":
		return parseNetwork(text)
	case strings.Contains(text, "*"):
		return e, errors.New("a * stands alone, or at the end of a URI: spiffe://acme/web/*")
	}
	return entry{identity: text}, nil
}

func parseURI(text string) (e entry, err error) {
	exact, below := strings.CutSuffix(text, "/*")
	if u, err := url.Parse(exact); err != nil || u.Scheme == "" || u.Host == "" {
		return e, errors.New("is no URI with a host")
	}
	switch {
	case strings.Contains(exact, "*"):
		return e, errors.New("a * stands at the end alone, behind a /")
	case strings.HasPrefix(text, "spiffe://") && strings.ContainsAny(text, "?#@"):
		return e, errors.New("is no SPIFFE id: it has no query, fragment or user")
	case below:
		return entry{below: exact + "/"}, nil
	}
	return entry{identity: text}, nil
}

func parseNetwork(text string) (e entry, err error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.Unmap()
		if ip.Zone() != "" {
			return e, errors.New("an address has no zone here")
		}
		return entry{network: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return e, errors.New("is no address, network (10.0.0.0/8) or identity of a certificate")
	case p != p.Masked():
		return e, fmt.Errorf("has bits behind its %d: %s is meant?", p.Bits(), p.Masked())
	}
	return entry{network: p}, nil
}
