package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/client"
	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/keyring"
	"github.com/thriftloom/thriftloom/netio"
	"github.com/thriftloom/thriftloom/wire"
)

// keys are the certificates that one version of the config uses. Sources of the same files are one, and outlive a reload.
type keys []*keyring.Source

// source returns the source of a plan, nil for nil.
func (k keys) source(p *tlsPlan) *keyring.Source {
	if p == nil {
		return nil
	}
	for _, s := range k {
		if s.Files().Equal(p.files) && s.Minimum() == p.minimum {
			return s
		}
	}
	return nil
}

// holds reports whether there is a good version of files.
func (k keys) holds(f keyring.Files) bool {
	return slices.ContainsFunc(k, func(s *keyring.Source) bool { return s.Files().Equal(f) })
}

// openKeys returns the keys of a plan: those that are open already, looked at anew, and new ones.
func (g *Gateway) openKeys(p *plan, open keys) (all keys, err error) {
	wanted := []*tlsPlan{p.adminTLS, p.stores.redisTLS}
	for _, l := range p.listeners {
		wanted = append(wanted, l.tls)
	}
	for _, u := range p.upstreams {
		wanted = append(wanted, u.tls)
		if u.source != nil {
			wanted = append(wanted, u.source.tls)
		}
	}
	for _, w := range wanted {
		switch s := open.source(w); {
		case w == nil, all.source(w) != nil:
		case s != nil:
			g.refresh(s)
			all = append(all, s)
		default:
			s, err := keyring.Open(w.files, w.minimum)
			if err != nil {
				return nil, fmt.Errorf("tls: %w", err)
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// refresh takes over what the files of a source hold now.
func (g *Gateway) refresh(s *keyring.Source) {
	changed, err := s.Refresh()
	switch {
	case err != nil:
		g.log.Error("certificate not taken over: the last good one stays in force", "error", err)
	case changed:
		for _, f := range s.Material().Facts {
			g.log.Info("certificate taken over", "file", f.File, "names", f.Names, "not_after", f.NotAfter)
		}
	}
}

// keysEvery is how often the files of certificates are looked at.
const keysEvery = 10 * time.Second

// watchKeys follows the files of all certificates in force, and tells of those that are to be renewed, until ctx ends.
func (g *Gateway) watchKeys(ctx context.Context) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	told := reminders{}
	for {
		for _, s := range g.current.Load().keys {
			g.refresh(s)
			for _, f := range s.Material().Facts {
				g.remind(told, f, time.Now())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reminders are when a certificate was last told of, by file and end.
type reminders map[string]reminder

type reminder struct {
	state keyring.State
	at    time.Time
}

// remindEvery is how often a certificate is told of that nobody renews.
const remindEvery = 24 * time.Hour

// remind tells of a certificate that is to be renewed: once, when that gets worse, and once a day.
func (g *Gateway) remind(told reminders, f keyring.Fact, now time.Time) {
	state, last := f.At(now), told[f.File]
	if state == keyring.Valid {
		delete(told, f.File)
		return
	}
	if last.state == state && now.Sub(last.at) < remindEvery {
		return
	}
	told[f.File] = reminder{state, now}
	switch state {
	case keyring.Soon:
		g.log.Warn("certificate expires soon", "file", f.File, "names", f.Names, "not_after", f.NotAfter, "left", f.NotAfter.Sub(now).Round(time.Minute).String())
	case keyring.Over:
		g.log.Error("certificate has expired", "file", f.File, "names", f.Names, "not_after", f.NotAfter)
	case keyring.Early:
		g.log.Error("certificate is not valid yet", "file", f.File, "names", f.Names, "not_before", f.NotBefore)
	}
}

// dialer returns what makes connections to the servers of an upstream; nil for the plain one.
func (p *tlsPlan) dialer(s *keyring.Source) client.Dialer {
	if p == nil {
		return nil
	}
	return client.TLSDialer(nil, func(address string) *tls.Config {
		name := p.serverName
		if network, addr, err := netio.ParseAddress(address); name == "" && err == nil && network == "tcp" {
			name, _, _ = net.SplitHostPort(addr)
		}
		return s.Client(name, p.chainOnly || name == "") // a unix socket has no name
	})
}

// AdminTLS reports whether the admin listener speaks TLS.
func (c *Config) AdminTLS() bool { return c.Resolved.adminTLS != nil }

// errNoAdminTLS is the answer to callers of an admin listener whose config has no TLS any more: turning it off takes a restart.
var errNoAdminTLS = errors.New("tls: the admin listener has no certificate")

// AdminTLS returns the TLS of the admin listener. It follows its files and reloads.
func (g *Gateway) AdminTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			st := g.current.Load()
			if s := st.keys.source(st.adminTLS); s != nil {
				return s.Server(), nil
			}
			return nil, errNoAdminTLS
		},
	}
}

// malformed counts bytes of a caller that are no message. A caller that speaks TLS where none is spoken is told of: no metric says it to
// who has just turned it on.
func (g *Gateway) malformed(listener string, reason wire.Reason, err error) {
	g.metrics.bad.WithLabelValues(string(reason)).Inc()
	if reason != wire.TLSHello {
		return
	}
	if n, ok := g.quiet.take("plain "+listener, time.Now()); ok {
		g.log.Warn("TLS on a plain port", "listener", listener, "error", err, "not_told", n)
	}
}

// handshakeFailed counts a caller that did not get in. What ports are checked with goes away without a word, and is not logged.
func (g *Gateway) handshakeFailed(listener string, from net.Addr, why netio.HandshakeFailure, err error) {
	g.metrics.handshakes.WithLabelValues(listener, string(why)).Inc()
	text, what := err.Error(), "TLS handshake failed"
	var login *netio.LoginError
	if errors.As(err, &login) {
		what = "SASL login failed"
	}
	switch why {
	case netio.ClosedInHandshake:
		return
	case netio.NotTLS:
		text = "plain Thrift, or whatever it was, on a TLS port: " + text
	}
	if n, ok := g.quiet.take("tls "+listener+" "+string(why), time.Now()); ok {
		g.log.Warn(what, "listener", listener, "client.address", from.String(), "reason", string(why), "error", text, "not_told", n)
	}
}

// snapshot returns a certificate for each file.
func (k keys) snapshot() (all []status.Certificate) {
	seen := map[string]bool{}
	for _, s := range k {
		m, problem := s.Material(), ""
		if err := s.Problem(); err != nil {
			problem = err.Error()
		}
		for _, f := range m.Facts {
			if !seen[f.File] {
				seen[f.File] = true
				all = append(all, status.Certificate{File: f.File, CA: f.CA, Names: f.Names, NotAfter: f.NotAfter, Problem: problem, Read: m.Read})
			}
		}
	}
	slices.SortFunc(all, func(a, b status.Certificate) int { return strings.Compare(a.File, b.File) })
	return all
}
