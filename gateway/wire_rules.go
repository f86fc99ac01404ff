package gateway

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// warnWire tells of protocols and transports that are spoken, and do not do what is hoped for with that kind of server.
func (l *loader) warnWire(node *yaml.Node, path string, u *Upstream, w transport.Wire) {
	if w.Protocol == wire.ApacheJSON && w.Kind != transport.HTTP && isThriftPy(u.Server) {
		l.warnf(strictyaml.At(node, "protocol"), path+".protocol",
			"ThriftPy's servers speak apachejson over http alone: over %s they answer each message on a connection with the first one's answer", w.Kind)
	}
	if u.Server == "concurrent" && w.Kind == transport.HTTP {
		l.warnf(strictyaml.At(node, "server"), path+".server",
			"concurrent gains nothing over http: HTTP/1.1 answers in order, so each call in flight has a connection of its own")
	}
}

// isThriftPy reports whether a kind is one of ThriftPy's own servers on a socket. Where no kind is given it may be any server.
func isThriftPy(kind string) bool {
	switch kind {
	case "threaded", "simple", "aio", "tornado":
		return true
	}
	return strings.HasPrefix(kind, "gunicorn-")
}
