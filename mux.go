package thriftloom

import (
	"fmt"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
)

// part is one service of a server.
type part struct {
	name    string
	service *Service
	handler rpc.Handler
}

// Add serves one more service at the same address, answered by the methods of impl. Multiplexed callers name it before the method,
// "Orders:getOrder"; name is by default the service's own. Others reach it by the name of a method that no other service here has. The
// error lists every mismatch, or says that the name is taken. Call it before Serve.
func (s *Server) Add(name string, svc *Service, impl any, opts ...Option) error {
	if svc == nil {
		return errNoService
	}
	if name == "" {
		name = svc.Name
	}
	for _, p := range s.parts() {
		if p.name == name {
			return fmt.Errorf("thriftloom: a service %q is served already", name)
		}
	}
	h, err := bind.Server(svc, impl, opts...)
	if err != nil {
		return err
	}
	s.more = append(s.more, part{name, svc, h})
	return nil
}

// parts returns all services, the first one first.
func (s *Server) parts() []part {
	return append([]part{{s.Service.Name, s.Service, s.Handler}}, s.more...)
}

// router returns what leads each message to a service: by its name before the method, else by the method alone. A method that two
// services have, and one that none has, is the first service's.
func (s *Server) router() func(*wire.Head, *rpc.Call) (rpc.Handler, *rpc.Error) {
	parts := s.parts()
	byName, byMethod := map[string]part{}, map[string]part{}
	for _, p := range parts {
		byName[p.name] = p
		for _, m := range p.service.Methods {
			if _, twice := byMethod[m.Name]; twice {
				byMethod[m.Name] = parts[0]
			} else {
				byMethod[m.Name] = p
			}
		}
	}
	return func(head *wire.Head, call *rpc.Call) (rpc.Handler, *rpc.Error) {
		label, method, multiplexed := transport.SplitName(head.Name)
		if !multiplexed {
			p, ok := byMethod[head.Name]
			if !ok {
				p = parts[0]
			}
			return p.take(head.Name, call), nil
		}
		p, ok := byName[label]
		if !ok {
			return nil, &rpc.Error{Code: rpc.UnknownMethod, Op: parts[0].name, Text: fmt.Sprintf("no service %.64q is served here", label)}
		}
		return p.take(method, call), nil
	}
}

// take makes the call one of this service's. A method that it does not have is refused by its handler.
func (p part) take(method string, call *rpc.Call) rpc.Handler {
	call.Service, call.Name, call.Method = p.name, method, p.service.Method(method)
	if call.Method != nil {
		call.Oneway = call.Method.Oneway
	}
	return p.handler
}
