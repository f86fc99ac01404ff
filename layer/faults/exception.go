package faults

import (
	"fmt"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Exception lets calls end with an exception that the IDL declares for their method. Make one with NewException.
type Exception struct {
	Percent float64

	id     int16
	bodies map[wire.Protocol][]byte
}

// NewException returns the exception that stands in the field thrown, one of the method's Throws. value is its fields as JSON, nil for none;
// those that it leaves out have what the IDL gives them. The error is one of codec.ParseJSON.
func NewException(m *schema.Method, thrown *schema.Field, value []byte, percent float64) (Exception, error) {
	if value == nil {
		value = []byte("{}")
	}
	v, err := codec.ParseJSON(thrown.Type, value)
	if err != nil {
		return Exception{}, err
	}
	raised, ok := v.(*schema.StructValue)
	if !ok {
		return Exception{}, fmt.Errorf("no value of %s", thrown.Type)
	}
	codec.ApplyDefaults(raised)
	result := &schema.StructValue{Type: m.Result, Fields: make([]schema.Value, len(m.Result.Fields))}
	result.Fields[thrown.Index] = raised
	e := Exception{Percent: percent, id: thrown.ID, bodies: map[wire.Protocol][]byte{}}
	body, err := codec.AppendStruct(nil, wire.Binary, result)
	if err != nil {
		return Exception{}, err
	}
	for _, p := range []wire.Protocol{wire.Binary, wire.Compact, wire.JSON, wire.ApacheJSON} {
		if e.bodies[p], err = codec.Translate(nil, wire.Binary, p, m.Result, body, wire.Limits{}); err != nil {
			return Exception{}, err
		}
	}
	return e, nil
}

// reply returns the exception in the protocol of a call.
func (e *Exception) reply(p wire.Protocol) *rpc.Reply {
	return &rpc.Reply{Protocol: p, Body: e.bodies[p], Exception: e.id}
}
