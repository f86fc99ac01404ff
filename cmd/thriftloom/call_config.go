package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/transport"
)

// planFromConfig takes address, IDL and TLS of a call from a config. The gateway is called, which speaks every transport: none is probed.
func (a *app) planFromConfig(p *callPlan, path string, secure *tlsFlags, name string) error {
	loaded := gateway.Load(path, a.env)
	if err := a.refuseMistakes(loaded); err != nil {
		return err
	}
	cfg := loaded.Config
	label, method := splitTarget(name)
	labels := cfg.Services.Names()
	if label == "" {
		if len(labels) != 1 {
			return usageError("which service? %s has %s; write SERVICE.METHOD", path, strings.Join(labels, ", "))
		}
		label = labels[0]
	}
	at := slices.Index(labels, label)
	if at < 0 {
		return usageError("%s has no service %q%s", path, label, strictyaml.DidYouMean(label, labels))
	}
	svc := a.configService(cfg, at)
	flags := configIDL(cfg.Services[at].File, svc)
	doc, err := flags.load()
	if err != nil {
		return err
	}
	if p.method, err = findMethod(doc, svc.Service+"."+method); err != nil {
		return err
	}
	listener, file, shared := configListener(cfg, svc, at)
	p.wireName = p.method.Name
	if shared {
		p.wireName = label + ":" + p.method.Name
	}
	p.kinds = []transport.Kind{transport.Buffered}
	if p.address, err = dialable(beside(file, listener.Address)); err != nil {
		return err
	}
	p.dial, err = secure.listenerDialer(file, listener, p.address)
	return err
}

// refuseMistakes prints the mistakes of a config, if it has any, and fails then.
func (a *app) refuseMistakes(loaded *gateway.Loaded) error {
	for _, m := range loaded.Mistakes {
		fmt.Fprintln(a.stderr, m)
	}
	if len(loaded.Mistakes) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// configService reads one service of a config without mistakes.
func (a *app) configService(cfg *gateway.Config, at int) *gateway.Service {
	block := cfg.Services[at]
	svc := &gateway.Service{Service: block.Name}
	(&strictyaml.Decoder{File: block.File, Lookup: a.env}).Decode(block.Value, "services."+block.Name, svc)
	return svc
}

// configIDL returns where the IDL of a service is whose section stands in file.
func configIDL(file string, svc *gateway.Service) idlFlags {
	f := idlFlags{path: beside(file, svc.IDL.Path)}
	for _, dir := range svc.IDL.Include {
		f.include = append(f.include, beside(file, dir))
	}
	return f
}

// configListener returns the first listener that serves the service with that number, the file that it stands in, and whether others are
// served there too.
func configListener(cfg *gateway.Config, svc *gateway.Service, at int) (l *gateway.Listener, file string, shared bool) {
	block := cfg.Services[at]
	for i := range cfg.Listen {
		l := &cfg.Listen[i]
		if len(l.Services) == 0 {
			return l, cfg.Resolved.Path, len(cfg.Services) > 1
		}
		if slices.Contains(l.Services, block.Name) {
			return l, cfg.Resolved.Path, len(l.Services) > 1
		}
	}
	if len(svc.Listen) > 0 {
		return &svc.Listen[0], block.File, false
	}
	return &gateway.Listener{}, block.File, false
}

// besideFile is beside for what stands in the main file of a config.
func besideFile(cfg *gateway.Config, path string) string { return beside(cfg.Resolved.Path, path) }

// beside makes a path that stands in file, or the path of a unix socket, relative to the file's folder.
func beside(file, path string) string {
	if socket, ok := strings.CutPrefix(path, "unix:"); ok {
		return "unix:" + beside(file, socket)
	}
	if path == "" || filepath.IsAbs(path) || isHostPort(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

func isHostPort(s string) bool {
	_, _, err := net.SplitHostPort(s)
	return err == nil && !strings.ContainsRune(s, filepath.Separator)
}

// dialable returns an address to reach a listener of this machine at.
func dialable(address string) (string, error) {
	if strings.HasPrefix(address, "unix:") {
		return address, nil
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case address == "":
		return "", fmt.Errorf("no listener serves it")
	case err != nil:
		return "", err
	case port == "0":
		return "", fmt.Errorf("%s is a port of the system's choice: call it by its address, with -i", address)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// completeConfig completes a method of a config's services, by their labels.
func (a *app) completeConfig(path, begun string) (found []cobra.Completion) {
	loaded := gateway.Load(path, a.env)
	if loaded.Config == nil {
		return nil
	}
	for i, label := range loaded.Config.Services.Names() {
		svc := a.configService(loaded.Config, i)
		flags := configIDL(loaded.Config.Services[i].File, svc)
		doc, err := flags.load()
		if err != nil || doc.Service(svc.Service) == nil {
			continue
		}
		for _, m := range doc.Service(svc.Service).Methods {
			if name := label + "." + m.Name; strings.HasPrefix(name, begun) {
				found = append(found, cobra.CompletionWithDesc(name, signature(m)))
			}
		}
	}
	return found
}
