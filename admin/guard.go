package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard lets through who may. Probes are open to all. Beyond them:
//
//	             token set                                  no token
//	loopback     reading free, changes need the token       all free
//	beyond       everything needs the token                 nothing
//
// What is free is so for a Host that is loopback: a page whose name was made to point here (DNS rebinding) reads and changes nothing.
// No change comes from another site's page, whatever it has: a browser says where a request is from (Origin, Sec-Fetch-Site).
func (a *api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if probe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		reading := (r.Method == http.MethodGet || r.Method == http.MethodHead) && !profile(r.URL.Path)
		status, err := a.refuse(r, reading)
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", challenge(reading))
		}
		if !reading {
			a.audit(r, r.Method+" "+r.URL.Path, "refused: "+err.Error(), status)
		}
		fail(w, status, err)
	})
}

// profile reports whether a path is a profile's: to make one costs the process something, as a change does.
func profile(path string) bool { return strings.HasPrefix(path, "/debug/pprof/") }

func probe(path string) bool { return path == "/livez" || path == "/readyz" || path == "/metrics" }

// refuse returns why the request may not go on.
func (a *api) refuse(r *http.Request, reading bool) (status int, err error) {
	token := a.cfg.Token()
	switch {
	case !reading && crossSite(r):
		return http.StatusForbidden, errors.New("a change may not come from another site's page")
	case token != "" && authorized(r, token, reading):
	case token != "" && (!reading || !a.cfg.Loopback):
		return http.StatusUnauthorized, errors.New("the token is missing or wrong")
	case !a.cfg.Loopback:
		return http.StatusForbidden, errors.New("beyond loopback a token is needed, and none is configured")
	case !loopbackHost(r.Host):
		return http.StatusForbidden, errors.New("the host has to be a loopback address or localhost")
	}
	return 0, nil
}

// authorized reports whether the request has the token, as a bearer's. For reading, the password of Basic will do, whatever the name: it
// is what a browser can ask for. A browser sends it unasked, too, so it changes nothing.
func authorized(r *http.Request, token string, reading bool) bool {
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		_, password, ok := r.BasicAuth()
		if !ok || !reading {
			return false
		}
		got = password
	}
	// Hashed first: the comparison takes the same time whatever the lengths.
	g, want := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(g[:], want[:]) == 1
}

func challenge(reading bool) string {
	if reading {
		return `Basic realm="thriftloom: any name, the token as password", charset="UTF-8"`
	}
	return `Bearer realm="thriftloom"`
}

// crossSite reports whether a page of another origin made the request. Tools other than browsers send neither header.
func crossSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	return false
}

// loopbackHost reports whether a Host header names this machine in a way that no DNS server can change.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil && ip.IsLoopback()
}
