package gateway

import (
	"slices"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// hedges reports whether calls of the method of that index may be made twice.
func (p *servicePlan) hedges(i int) bool {
	m := p.methods[i]
	return m.policies.Hedge.On && m.idempotent && !p.schema.Methods[i].Oneway
}

// checkHedge finds methods that are to be called twice and must not be, and a service of which none may.
func (l *loader) checkHedge(key string, s *Service, p *servicePlan, places layers, blocks []strictyaml.Block) {
	if p.schema == nil {
		return
	}
	some := false
	for i, m := range p.schema.Methods {
		if some = some || p.hedges(i); p.hedges(i) || !p.methods[i].policies.Hedge.On {
			continue
		}
		for _, mb := range slices.Backward(blocks) {
			at := strictyaml.Find(mb.Value, "hedge")
			if mb.Name != m.Name || at == nil {
				continue
			}
			text := "is not idempotent: a call that is made twice may be processed twice"
			if m.Oneway {
				text = "is oneway: there is no reply that could be late"
			}
			l.noting(mb.File).Addf(at, key+".methods."+m.Name+".hedge", "%s %s", m.Name, text)
			break
		}
	}
	if at, file := places.find("hedge"); at != nil && s.Policies.Hedge.On && !some {
		l.warnings = append(l.warnings, strictyaml.Mistake{
			File: file, Line: at.Line, Col: at.Column, Key: key + ".hedge", Text: "no method of " + s.Service + " is idempotent: none of its calls is made twice",
		})
	}
}
