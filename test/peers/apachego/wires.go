package main

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"apachego/kinds"
)

// wire is how two sides speak.
type wire struct {
	name, transport, protocol string
	multiplexed               bool
}

func parseWire(name string) wire {
	parts := strings.Split(name, "-")
	return wire{name: name, transport: parts[0], protocol: parts[1], multiplexed: len(parts) > 2}
}

func (w wire) conf() *thrift.TConfiguration {
	c := &thrift.TConfiguration{ConnectTimeout: 20 * time.Second, SocketTimeout: 20 * time.Second}
	id := thrift.THeaderProtocolBinary
	if w.protocol == "compact" {
		id = thrift.THeaderProtocolCompact
	}
	c.THeaderProtocolID = &id
	if w.transport == "headerzlib" {
		c.THeaderTransforms = []thrift.THeaderTransformID{thrift.TransformZlib}
	}
	return c
}

func (w wire) protocols() thrift.TProtocolFactory {
	switch {
	case w.transport == "header" || w.transport == "headerzlib":
		return thrift.NewTHeaderProtocolFactoryConf(w.conf())
	case w.protocol == "compact":
		return thrift.NewTCompactProtocolFactoryConf(w.conf())
	case w.protocol == "apachejson":
		return thrift.NewTJSONProtocolFactory()
	}
	return thrift.NewTBinaryProtocolFactoryConf(w.conf())
}

func (w wire) transports() thrift.TTransportFactory {
	switch w.transport {
	case "framed":
		return thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), w.conf())
	case "header", "headerzlib":
		return thrift.NewTHeaderTransportFactoryConf(thrift.NewTTransportFactory(), w.conf())
	}
	return thrift.NewTBufferedTransportFactory(4096)
}

// connection is one client.
type connection struct {
	*kinds.KindsClient
	raw       thrift.TClient // for what the generated client does not have
	transport thrift.TTransport
}

func (p place) dial() (*connection, error) {
	var below thrift.TTransport
	var err error
	if p.transport == "http" {
		below, err = thrift.NewTHttpClient("http://" + p.address + "/")
	} else {
		below, err = p.transports().GetTransport(thrift.NewTSocketConf(p.address, p.conf()))
	}
	if err != nil {
		return nil, err
	}
	if err := below.Open(); err != nil {
		return nil, err
	}
	in, out := p.protocols().GetProtocol(below), p.protocols().GetProtocol(below)
	if p.transport == "header" || p.transport == "headerzlib" {
		out = in // one object for both directions: the transport keeps its state
	}
	if p.multiplexed {
		out = thrift.NewTMultiplexedProtocol(out, "Kinds")
	}
	raw := thrift.NewTStandardClient(in, out)
	return &connection{kinds.NewKindsClient(raw), raw, below}, nil
}

// listen starts the server of one place; what it returns serves for ever.
func (p place) listen(h kinds.Kinds) (func() error, error) {
	var processor thrift.TProcessor = kinds.NewKindsProcessor(h)
	if p.multiplexed {
		all := thrift.NewTMultiplexedProcessor()
		all.RegisterProcessor("Kinds", processor)
		processor = all
	}
	if p.transport == "http" {
		l, err := net.Listen("tcp", "127.0.0.1:"+p.address)
		handler := thrift.NewThriftHandlerFunc(processor, p.protocols(), p.protocols())
		return func() error { return http.Serve(l, http.HandlerFunc(handler)) }, err
	}
	socket, err := thrift.NewTServerSocket("127.0.0.1:" + p.address)
	if err != nil {
		return nil, err
	}
	s := thrift.NewTSimpleServer4(processor, socket, p.transports(), p.protocols())
	return s.AcceptLoop, s.Listen()
}
