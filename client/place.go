package client

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/thriftloom/thriftloom/netio"
)

// Place is where a peer is called.
type Place struct {
	Socket string // "host:port" or "unix:/path"
	Host   string // over HTTP: what a request says is its host
	Path   string // over HTTP: with the query, where there is one
	HTTP   bool   // it was a URL
	TLS    bool   // it was a URL that says https
}

// ParsePlace reads an address: "host:port", "unix:/path", or the URL of an HTTP server.
func ParsePlace(address string) (Place, error) {
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		if _, _, err := netio.ParseAddress(address); err != nil {
			return Place{}, err
		}
		p := Place{Socket: address, Host: address, Path: "/"}
		if strings.HasPrefix(address, "unix:") {
			p.Host = "localhost"
		}
		return p, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return Place{}, fmt.Errorf("address %.64q: no URL", address)
	case u.User != nil || u.Fragment != "" || u.Hostname() == "":
		return Place{}, fmt.Errorf("address %q: want http://host:port/path, without user and fragment", u.Redacted())
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	p := Place{Socket: net.JoinHostPort(u.Hostname(), port), Host: u.Host, Path: u.RequestURI(), HTTP: true, TLS: u.Scheme == "https"}
	if _, _, err := netio.ParseAddress(p.Socket); err != nil {
		return Place{}, err
	}
	return p, nil
}
