package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/thriftloom/thriftloom/admin"
	"github.com/thriftloom/thriftloom/gateway"
)

// site is an HTTP listener of the gateway: admin or health.
type site struct {
	name     string
	id       string // what the next process knows its socket by
	listener *gateway.Gate
	secure   bool // it speaks TLS
}

// openSites opens what the config names, where it is not open already. On an error none stays open.
func openSites(ctx context.Context, cfg *gateway.Config, open *gateway.Sockets) ([]*site, error) {
	if _, err := cfg.AdminToken(); err != nil {
		return nil, fmt.Errorf("admin.token_file: %w", err)
	}
	var sites []*site
	for _, s := range []struct{ name, address string }{{"health", cfg.Health}, {"admin", cfg.Admin.Address}} {
		if s.address == "" {
			continue
		}
		address := absolute(besideFile(cfg, s.address))
		id := gateway.SocketID(s.name, address)
		l, err := open.Listen(ctx, id, address, s.name)
		if err != nil {
			closeSites(sites)
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		sites = append(sites, &site{name: s.name, id: id, listener: l, secure: s.name == "admin" && cfg.AdminTLS()})
	}
	return sites, nil
}

// absolute makes the path of a unix socket absolute: the next process may run in another folder.
func absolute(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if abs, err := filepath.Abs(path); err == nil {
			return "unix:" + abs
		}
	}
	return address
}

func closeSites(sites []*site) {
	for _, s := range sites {
		_ = s.listener.Close()
	}
}

// serve answers until ctx ends.
func (s *site) serve(ctx context.Context, r *running) {
	tokens := &tokens{gateway: r.gateway, log: r.log}
	handler := admin.NewHandler(admin.Config{
		Token: tokens.now, ReadOnly: s.name == "health", Loopback: gateway.Loopback(listenAddress(s.listener)), Audit: r.log,
		Profiles: func() bool { return r.gateway.Config().Admin.Profiles },
		Metrics:  promhttp.HandlerFor(r.gateway.Registry(), promhttp.HandlerOpts{}),
	}, adminGateway{r.gateway, r})
	var secure *tls.Config
	if s.secure {
		secure = r.gateway.AdminTLS()
	}
	if err := admin.Serve(ctx, s.listener, secure, handler); err != nil {
		r.log.Error("listener ended", "listener", s.name, "error", err)
	}
}

// listenAddress returns where l listens, as a config would name it.
func listenAddress(l net.Listener) string {
	if at := l.Addr(); at.Network() == "unix" {
		return "unix:" + at.String()
	}
	return l.Addr().String()
}

// adminGateway is a gateway as the admin API sees it.
type adminGateway struct {
	*gateway.Gateway
	running *running
}

func (g adminGateway) Snapshot() any { return g.Gateway.Snapshot() }

func (g adminGateway) Reload(ctx context.Context, force bool) (any, error) {
	defer g.running.tellReload()()
	if force {
		return g.ForceReload(ctx)
	}
	return g.Gateway.Reload(ctx)
}

func (g adminGateway) Drain(context.Context) error {
	g.running.drain()
	return nil
}
