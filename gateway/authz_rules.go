package gateway

import (
	"slices"

	"github.com/thriftloom/thriftloom/layer/authz"
)

// warnAllow tells of services that let in certificates by name, and are served where nobody asks for one.
func (l *loader) warnAllow() {
	for _, s := range l.cfg.Resolved.services {
		asks := func(p listenerPlan) bool {
			return (p.all || slices.Contains(p.services, s.label)) && p.tls != nil && p.tls.files.CA != ""
		}
		if !s.wantsCertificates() || slices.ContainsFunc(l.cfg.Resolved.listeners, asks) {
			continue
		}
		at := slices.Index(l.cfg.Services.Names(), s.label)
		b := l.cfg.Services[at]
		l.in(b.File).warnf(b.Key, "services."+s.label+".allow",
			"names identities of certificates, and no listener of the service asks for one (tls.client_ca_file): nobody fits them")
	}
}

// wantsCertificates reports whether a list of the service has an entry that nobody fits without a certificate.
func (p *servicePlan) wantsCertificates() bool {
	return slices.ContainsFunc(append(slices.Clone(p.methods), p.other), func(m methodPlan) bool {
		return slices.ContainsFunc(m.policies.Allow, authz.NeedsCertificate)
	})
}
