package gateway

import (
	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// maxAppBytes bounds the name under which servers are asked for tracking, in bytes.
const maxAppBytes = 256

// checkTracking says with what servers tracking does not go. What is known of ThriftPy is tried at ThriftPy2 and, but for Apache's JSON,
// which it has not, at ThriftPy 0.3.9.
func (l *loader) checkTracking(node *yaml.Node, path string, u *Upstream, w transport.Wire) {
	switch {
	case len(u.Tracking) > maxAppBytes:
		l.Addf(node, path, "has %d bytes; at most %d", len(u.Tracking), maxAppBytes)
	case u.Multiplexed:
		l.Addf(node, path, "does not go with multiplexed: such servers do not know ThriftPy's tracking")
	case w.Kind == transport.Header:
		l.Addf(node, path, "does not go with transport: header, which has headers of its own")
	case w.Kind == transport.HTTP:
		l.Addf(node, path, "does not go with transport: http: what is agreed on holds for a connection, and there each request may have another")
	case w.Protocol == wire.ApacheJSON:
		l.Addf(node, path, "does not go with protocol: apachejson: ThriftPy itself cannot read its tracking in it")
	case !w.Tracks():
		l.Addf(node, path, "is not built for protocol: %s, though ThriftPy has it there: binary and compact are", w.Protocol)
	}
}
