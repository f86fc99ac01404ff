package gateway

import (
	"fmt"
	"slices"

	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/schema"
)

// maxBreaks bounds what is told of one service: an IDL that was mixed up with another breaks everywhere.
const maxBreaks = 20

const restart = "takes a restart: until then it stays as it was"

// news returns the warnings that the config which is in force does not have.
func (st *state) news(l *Loaded) (all []strictyaml.Mistake) {
	for _, w := range l.Warnings {
		if !slices.ContainsFunc(st.config.Resolved.warnings, func(x strictyaml.Mistake) bool { return x.Key == w.Key && x.Text == w.Text }) {
			all = append(all, w)
		}
	}
	return all
}

// Against tells what callers and servers of the services of old would miss in l: methods that are gone, and what the IDLs break on the wire.
// Services are compared by their labels; one that only one of the two has is not told. Neither has to be without mistakes.
func (l *Loaded) Against(old *Loaded) (all []strictyaml.Mistake) {
	if l.Config == nil || old.Config == nil {
		return nil
	}
	plans := map[string]servicePlan{}
	for _, p := range old.Config.Resolved.services {
		plans[p.label] = p
	}
	for _, lost := range lostMethods(plans, l.Config.Resolved.services, nil) {
		all = append(all, lost.mistake(l, ""))
	}
	return strictyaml.Sort(append(all, l.breaks(plans, nil)...))
}

// breaks tells what the services of l break on the wire, but for those that are stale. Callers and servers are not deployed at one time: some
// have the old IDL still.
func (l *Loaded) breaks(was map[string]servicePlan, stale []string) (all []strictyaml.Mistake) {
	for _, p := range l.Config.Resolved.services {
		was, ok := was[p.label]
		if !ok || slices.Contains(stale, p.label) {
			continue
		}
		found := schema.Breaks(was.schema, p.schema)
		for i, b := range found {
			text := b.Text
			if i == maxBreaks {
				text = fmt.Sprintf("and %d changes more that break what is on the wire", len(found)-maxBreaks)
			}
			all = append(all, l.inIDL(p.label, b.Pos, text))
			if i == maxBreaks {
				break
			}
		}
	}
	return all
}

// inIDL is a mistake of a service's IDL.
func (l *Loaded) inIDL(label string, pos idl.Pos, text string) strictyaml.Mistake {
	return strictyaml.Mistake{File: relativeTo(l.main.path, pos.File), Line: pos.Line, Col: pos.Col, Key: "services." + label + ".idl", Text: text}
}

// restarts tells what the config says otherwise than the gateway that runs, and that only a start takes over.
func (g *Gateway) restarts(l *Loaded) (all []strictyaml.Mistake) {
	was, now := g.began, l.Config
	tell := func(key string, same bool) {
		if !same {
			at := strictyaml.At(l.main.doc.Root, key)
			all = append(all, strictyaml.Mistake{File: l.main.path, Line: at.Line, Col: at.Column, Key: key, Text: restart})
		}
	}
	tell("health", was.Health == now.Health)
	tell("admin", was.Admin.Address == now.Admin.Address && was.AdminTLS() == now.AdminTLS())
	tell("state", was.Resolved.State == now.Resolved.State)
	st := g.current.Load()
	bytes := true
	for _, p := range now.Resolved.listeners {
		o := st.listeners[p.id()]
		if o == nil {
			continue
		}
		bytes = bytes && o.began.messageBytes == now.MaxMessageBytes
		for _, limit := range []struct {
			key  string
			same bool
		}{
			{"reuse_port", o.began.reusePort == p.reusePort},
			{"max_connections", o.began.maxConnections == p.maxConnections},
			{"max_connections_per_caller", o.began.maxPerCaller == p.maxPerCaller},
			{"stall_timeout", o.began.stallTimeout == p.stallTimeout},
		} {
			if !limit.same {
				m := p.where
				m.Key, m.Text = m.Key+"."+limit.key, restart
				all = append(all, m)
			}
		}
	}
	tell("max_message_bytes", bytes)
	return all
}
