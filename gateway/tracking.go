package gateway

import (
	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/tracking"
	"github.com/thriftloom/thriftloom/wire"
)

// maxAppBytes bounds the name under which servers are asked for tracking, in bytes.
const maxAppBytes = 256

// checkTracking says with what servers tracking does not go.
func (l *loader) checkTracking(node *yaml.Node, path string, u *Upstream, p wire.Protocol) {
	switch {
	case len(u.Tracking) > maxAppBytes:
		l.Addf(node, path, "has %d bytes; at most %d", len(u.Tracking), maxAppBytes)
	case u.Multiplexed:
		l.Addf(node, path, "does not go with multiplexed: such servers do not know ThriftPy's tracking")
	case u.Transport == "header":
		l.Addf(node, path, "does not go with transport: header, which has headers of its own")
	case !tracking.Known(p):
		l.Addf(node, path, "is not built for protocol: %s yet", p)
	}
}
