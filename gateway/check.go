package gateway

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// LoadBytes is Load for a config that is not in a file; path is what its paths are relative to and what mistakes name.
func LoadBytes(path string, data []byte, env func(string) (string, bool)) *Loaded {
	return loadBytes(path, data, env, nil)
}

// Check loads the config at path and returns its mistakes and warnings, a line each, sorted, and how many services it has.
func Check(path string, env func(string) (string, bool)) (mistakes, warnings []string, services int) {
	l := Load(path, env)
	for _, m := range l.Mistakes {
		mistakes = append(mistakes, m.String())
	}
	for _, m := range l.Warnings {
		warnings = append(warnings, m.String())
	}
	if l.Config != nil {
		services = len(l.Config.Services)
	}
	return mistakes, warnings, services
}

// Explain says what a gateway with this config opens, reads, writes, needs and talks to.
func Explain(cfg *Config) string {
	var b strings.Builder
	section := func(title string, lines []string) {
		fmt.Fprintf(&b, "%s:\n", title)
		if len(lines) == 0 {
			lines = []string{"nothing"}
		}
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	r := cfg.Resolved
	var ports, peers, commands, rights []string
	for _, l := range r.listeners {
		ports = append(ports, fmt.Sprintf("%s  calls of %s%s", l.address, strings.Join(l.services, ", "), l.tls.explain()+l.users.explain()))
	}
	if cfg.Health != "" {
		ports = append(ports, cfg.Health+"  /livez /readyz /metrics, read-only")
	}
	if cfg.Admin.Address != "" {
		ports = append(ports, cfg.Admin.Address+"  dashboard and API"+r.adminTLS.explain())
	}
	if s := r.sharing; s != nil {
		ports = append(ports, s.Listen+"  UDP, from the other gateways")
		for _, p := range s.Peers {
			peers = append(peers, p+"  UDP, gateway")
		}
	}
	writes := []string{filepath.Join(r.State, "lock") + ", handover.sock  who holds the folder, and where the next process takes over"}
	reads := slices.Clone(r.Files)
	for _, u := range r.upstreams {
		for _, e := range u.endpoints {
			peers = append(peers, fmt.Sprintf("%s  upstream %s%s", e.Address, u.name, u.tls.explain()+u.login.explain()))
		}
		if u.source != nil {
			read, asked := u.source.explain()
			if read != "" {
				reads = append(reads, read+"  endpoints of "+u.name+", followed")
			} else {
				peers = append(peers, asked, "what that names  upstream "+u.name+u.tls.explain()+u.login.explain())
			}
		}
		if u.run == nil {
			continue
		}
		commands = append(commands, fmt.Sprintf("%d × %s  in %s", u.run.Replicas, strings.Join(u.run.Command, " "), u.run.Dir))
		if len(writes) == 1 {
			writes = append(writes, filepath.Join(r.State, "run")+"  sockets of replicas", filepath.Join(r.State, "log")+"  their output, bounded")
		}
		if u.run.User != "" {
			rights = append(rights, "root, to run replicas of "+u.name+" as "+u.run.User)
		}
	}
	peers = append(peers, r.stores.explain()...)
	for _, l := range r.listeners {
		if i := strings.LastIndexByte(l.address, ':'); i >= 0 && privileged(l.address[i+1:]) {
			rights = append(rights, "the right to bind "+l.address)
		}
	}
	section("opens", ports)
	section("reads", reads)
	section("writes", writes)
	section("runs", commands)
	section("connects to", peers)
	section("needs", rights)
	return b.String()
}

func privileged(port string) bool {
	var n int
	_, err := fmt.Sscanf(port, "%d", &n)
	return err == nil && n > 0 && n < 1024
}
