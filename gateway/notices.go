package gateway

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/schema"
)

// maxBreaks bounds what is told of one service: an IDL that was mixed up with another breaks everywhere.
const maxBreaks = 20

const restart = "takes a restart: until then it stays as it was"

// breaks tells what the next version breaks on the wire, of services that are not stale. Callers and servers are not deployed at one time:
// some have the old IDL still.
func (st *state) breaks(l *Loaded, stale stale) (all []strictyaml.Mistake) {
	for _, p := range l.Config.Resolved.services {
		was, ok := st.plans[p.label]
		if !ok || slices.Contains(stale.services, p.label) {
			continue
		}
		found := schema.Breaks(was.schema, p.schema)
		for i, b := range found {
			text := b.Text
			if i == maxBreaks {
				text = fmt.Sprintf("and %d changes more that break what is on the wire", len(found)-maxBreaks)
			}
			all = append(all, strictyaml.Mistake{
				File: relativeTo(l.main.path, b.Pos.File), Line: b.Pos.Line, Col: b.Pos.Col, Key: "services." + p.label + ".idl", Text: text,
			})
			if i == maxBreaks {
				break
			}
		}
	}
	return all
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
	adminWas, adminNow := was.Admin, now.Admin
	adminWas.at, adminNow.at = place{}, place{}
	tell("health", was.Health == now.Health)
	tell("admin", reflect.DeepEqual(adminWas, adminNow))
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
