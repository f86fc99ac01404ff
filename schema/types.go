// Package schema holds linked, immutable Thrift types, services and methods, and loads them from IDL files.
//
// A Document and all it leads to never change once Load has returned: share them freely among goroutines.
package schema

import (
	"github.com/thriftloom/thriftloom/idl"
	"github.com/thriftloom/thriftloom/wire"
)

// Kind says what a Type is.
type Kind uint8

// The kinds. Typedefs are resolved: a Type has its target's kind.
const (
	Void Kind = iota
	Bool
	I8
	I16
	I32
	I64
	Double
	String
	Binary
	UUID
	Enum
	Struct // structs, unions and exceptions
	List
	Set
	Map
)

// Type is a resolved type. Types of recursive structs lead back to themselves.
type Type struct {
	Kind        Kind
	Key         *Type       // of a map
	Elem        *Type       // of a list or set; the value of a map
	Struct      *StructType // where Kind is Struct
	Enum        *EnumType   // where Kind is Enum
	Alias       string      // the typedef by which the IDL names it, "" if none
	Annotations Annotations

	depth, nodes int // of nested containers; bounded when linked
}

// Wire returns the type's code on the wire.
func (t *Type) Wire() wire.Type {
	return [...]wire.Type{
		Void: wire.Void, Bool: wire.Bool, I8: wire.I8, I16: wire.I16, I32: wire.I32, I64: wire.I64, Double: wire.Double,
		String: wire.String, Binary: wire.String, UUID: wire.UUID, Enum: wire.I32, Struct: wire.Struct,
		List: wire.List, Set: wire.Set, Map: wire.Map,
	}[t.Kind]
}

// String returns the type as the IDL writes it, typedefs resolved: map<string, list<User>>.
func (t *Type) String() string {
	switch t.Kind {
	case Struct:
		return t.Struct.Name
	case Enum:
		return t.Enum.Name
	case List:
		return "list<" + t.Elem.String() + ">"
	case Set:
		return "set<" + t.Elem.String() + ">"
	case Map:
		return "map<" + t.Key.String() + ", " + t.Elem.String() + ">"
	}
	return [...]string{
		Void: "void", Bool: "bool", I8: "i8", I16: "i16", I32: "i32", I64: "i64", Double: "double", String: "string",
		Binary: "binary", UUID: "uuid",
	}[t.Kind]
}

// Annotations are (key = "value") pairs; a key without a value has "" and is present.
type Annotations map[string]string

// StructKind tells structs apart.
type StructKind uint8

// The kinds of struct. Args and Result are a method's, and have no name in the IDL.
const (
	Plain StructKind = iota
	Union
	Exception
	Args
	Result
)

// StructType is a struct, union or exception, or a method's arguments or result.
type StructType struct {
	Name        string // "User"; of another file "shared.User"; of arguments "getUser_args", of results "getUser_result"
	Kind        StructKind
	Fields      []*Field // in declaration order: the order in which ThriftPy and Apache write them
	Doc         string
	Annotations Annotations
	Pos         idl.Pos

	byID   map[int16]*Field
	byName map[string]*Field
	typ    *Type // that names this struct and nothing more
}

// Field returns the field with that id, or nil.
func (s *StructType) Field(id int16) *Field { return s.byID[id] }

// FieldByName returns the field with that name, or nil.
func (s *StructType) FieldByName(name string) *Field { return s.byName[name] }

// Requiredness is what the IDL says of a field's presence.
type Requiredness uint8

// The values. Unspecified: written by its owner if it has a value, not demanded by a reader.
const (
	Unspecified Requiredness = iota
	Required
	Optional
)

// Field is a field of a struct, an argument, or an exception that a method throws.
type Field struct {
	ID          int16
	Implicit    bool // the id was not written in the IDL but assigned
	Name        string
	Type        *Type
	Required    Requiredness
	Default     Value // nil if there is none
	Doc         string
	Annotations Annotations
	Pos         idl.Pos
	Index       int // of this field in its struct's Fields

	hasDefault bool // known before Default is
}

// EnumType is an enum.
type EnumType struct {
	Name        string
	Values      []EnumValue
	Doc         string
	Annotations Annotations
	Pos         idl.Pos

	byName  map[string]int32
	byValue map[int32]string
	typ     *Type // that names this enum and nothing more
}

// EnumValue is one name of an enum.
type EnumValue struct {
	Name        string
	Value       int32
	Doc         string
	Annotations Annotations
}

// ByName returns the value with that name.
func (e *EnumType) ByName(name string) (int32, bool) { v, ok := e.byName[name]; return v, ok }

// NameOf returns the name of v: of several names the first declared; "" if v has none.
func (e *EnumType) NameOf(v int32) string { return e.byValue[v] }

// Value is a constant or a dynamic value, of one of these Go types:
//
//	bool; int64 (i8 to i64); float64; string; []byte (binary); [16]byte (uuid); int32 (enum); []Value (list and set, in order);
//	MapValue (in order); *StructValue (structs, unions, exceptions)
//
// A nil Value is "not set".
type Value = any

// MapValue is a map as entries in the order in which they stand on the wire or in the IDL.
type MapValue []MapEntry

// MapEntry is one entry of a MapValue.
type MapEntry struct{ Key, Value Value }

// StructValue is a struct by field index: Fields[i] belongs to Type.Fields[i], nil where it is not set.
type StructValue struct {
	Type   *StructType
	Fields []Value
}

// Get returns the field of that name, nil if it is unset or unknown.
func (s *StructValue) Get(name string) Value {
	if f := s.Type.FieldByName(name); f != nil {
		return s.Fields[f.Index]
	}
	return nil
}

// Service is a service with every method that it answers, inherited ones included.
type Service struct {
	Name        string
	Extends     *Service
	Methods     []*Method // own methods in declaration order, then the parent's; Methods[i].Index == i
	Doc         string
	Annotations Annotations
	Pos         idl.Pos
	Document    *Document

	byName map[string]*Method
}

// Method returns the method with that name, or nil.
func (s *Service) Method(name string) *Method { return s.byName[name] }

// Method is a method as one service offers it. An inherited method is a copy with its own Service and Index.
type Method struct {
	Name        string
	Service     *Service // through which it is called
	Declared    *Service // where the IDL declares it
	Index       int      // in Service.Methods: policies and metric handles are arrays by it
	Args        *StructType
	Result      *StructType // field 0 "success" unless void, then the declared exceptions
	Return      *Type       // Kind Void for void
	Throws      []*Field    // the declared exceptions, fields of Result
	Oneway      bool
	Doc         string
	Annotations Annotations
	Pos         idl.Pos
}

// FullName returns "Users/getUser", the form that metrics and logs use.
func (m *Method) FullName() string { return m.Service.Name + "/" + m.Name }

// Const is a constant of the IDL.
type Const struct {
	Name  string
	Type  *Type
	Value Value
	Doc   string
	Pos   idl.Pos

	weight int // of Value
}

// Document is one loaded IDL file with all that it includes.
type Document struct {
	Path       string // as given to Load; "" from bytes
	Namespaces map[string]string
	Includes   []*Document
	Structs    []*StructType // structs, unions and exceptions of this file, in declaration order
	Enums      []*EnumType
	Typedefs   []*Typedef
	Consts     []*Const
	Services   []*Service
	Warnings   []idl.Mistake // of this file and its includes: what is legal and probably not meant
	// Files are the absolute paths (or fs.FS paths) of this file and of all it includes: what a watcher has to watch.
	Files []string

	names    map[string]any    // *StructType, *EnumType, *Typedef, *Const, *Service by their names in this file
	includes map[string]*scope // by the name under which this file sees them
	partial  bool              // mistakes were found here or below: what is not found may have been meant to be there
}

// Typedef is a name for a type.
type Typedef struct {
	Name string
	Type *Type // its Alias is Name
	Doc  string
	Pos  idl.Pos
}

// Service returns the service with that name, or nil. A name of an included file is written with its prefix: "shared.Base".
func (d *Document) Service(name string) *Service {
	s, _ := d.lookup(name).(*Service)
	return s
}

// Lookup returns the *StructType, *EnumType, *Typedef, *Const or *Service with that name ("User", "shared.User"), or nil.
func (d *Document) Lookup(name string) any { return d.lookup(name) }
