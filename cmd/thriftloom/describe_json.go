package main

import (
	"encoding/json"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
)

// What describe -o json writes.
type (
	jsonDescription struct {
		Services []jsonService `json:"services,omitempty"`
		Methods  []jsonMethod  `json:"methods,omitempty"`
		Types    []jsonType    `json:"types,omitempty"`
	}
	jsonService struct {
		Name    string       `json:"name"`
		Extends string       `json:"extends,omitempty"`
		Doc     string       `json:"doc,omitempty"`
		Methods []jsonMethod `json:"methods"`
	}
	jsonMethod struct {
		Name     string      `json:"name"`
		Service  string      `json:"service"`
		Declared string      `json:"declared"` // the service in which it stands: another one where it is inherited
		Oneway   bool        `json:"oneway"`
		Returns  string      `json:"returns"`
		Args     []jsonField `json:"args"`
		Throws   []jsonField `json:"throws"`
		Doc      string      `json:"doc,omitempty"`
	}
	jsonField struct {
		ID           int16           `json:"id"`
		Name         string          `json:"name"`
		Type         string          `json:"type"`
		Requiredness string          `json:"requiredness,omitempty"` // required or optional
		Default      json.RawMessage `json:"default,omitempty"`
		Doc          string          `json:"doc,omitempty"`
	}
	jsonType struct {
		Kind   string          `json:"kind"` // struct, union, exception, enum, typedef or const
		Name   string          `json:"name"`
		Doc    string          `json:"doc,omitempty"`
		Fields []jsonField     `json:"fields,omitempty"`
		Values []jsonEnumValue `json:"values,omitempty"` // of an enum
		Type   string          `json:"type,omitempty"`   // of a typedef or const
		Value  json.RawMessage `json:"value,omitempty"`  // of a const
	}
	jsonEnumValue struct {
		Name  string `json:"name"`
		Value int32  `json:"value"`
		Doc   string `json:"doc,omitempty"`
	}
)

func (d described) json() (out jsonDescription) {
	for _, s := range d.services {
		service := jsonService{Name: serviceName(s, d.from), Doc: s.Doc, Methods: []jsonMethod{}}
		if s.Extends != nil {
			service.Extends = serviceName(s.Extends, d.from)
		}
		for _, m := range s.Methods {
			service.Methods = append(service.Methods, methodJSON(m, d.from))
		}
		out.Services = append(out.Services, service)
	}
	for _, m := range d.methods {
		out.Methods = append(out.Methods, methodJSON(m, d.from))
	}
	for _, t := range d.types {
		out.Types = append(out.Types, typeJSON(t))
	}
	return out
}

func methodJSON(m *schema.Method, from *schema.Document) jsonMethod {
	return jsonMethod{
		Name: m.Name, Service: serviceName(m.Service, from), Declared: serviceName(m.Declared, from), Oneway: m.Oneway, Returns: m.Return.String(),
		Args: fieldsJSON(m.Args.Fields), Throws: fieldsJSON(m.Throws), Doc: m.Doc,
	}
}

func fieldsJSON(fields []*schema.Field) []jsonField {
	out := make([]jsonField, 0, len(fields))
	for _, f := range fields {
		x := jsonField{ID: f.ID, Name: f.Name, Type: f.Type.String(), Requiredness: requiredness(f), Doc: f.Doc}
		if f.Default != nil {
			x.Default = valueJSON(f.Type, f.Default)
		}
		out = append(out, x)
	}
	return out
}

func typeJSON(t any) jsonType {
	switch x := t.(type) {
	case *schema.StructType:
		return jsonType{Kind: structWord(x), Name: x.Name, Doc: x.Doc, Fields: fieldsJSON(x.Fields)}
	case *schema.EnumType:
		out := jsonType{Kind: "enum", Name: x.Name, Doc: x.Doc}
		for _, v := range x.Values {
			out.Values = append(out.Values, jsonEnumValue{v.Name, v.Value, v.Doc})
		}
		return out
	case *schema.Typedef:
		return jsonType{Kind: "typedef", Name: x.Name, Doc: x.Doc, Type: x.Type.String()}
	case *schema.Const:
		return jsonType{Kind: "const", Name: x.Name, Doc: x.Doc, Type: x.Type.String(), Value: valueJSON(x.Type, x.Value)}
	}
	return jsonType{}
}

// valueJSON returns a constant as call would take and print it; nil where it cannot be told.
func valueJSON(t *schema.Type, v schema.Value) json.RawMessage {
	text, err := codec.AppendJSON(nil, t, v)
	if err != nil {
		return nil
	}
	return text
}
