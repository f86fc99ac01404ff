package wiretest

import (
	"embed"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"github.com/thriftloom/thriftloom/wire"
)

// Case is a struct to encode.
type Case struct {
	Name string
	Body Value
}

// Structs returns a struct of every shape that a walk can meet.
func Structs() []Case {
	return []Case{
		{"empty", Struct()},
		{"numbers", Struct(1, Bool(true), 2, I8(-1), 3, I16(-300), 4, I32(1<<30), 5, I64(math.MinInt64), 6, Double(math.Inf(-1)))},
		{"bools", Struct(1, Bool(true), 2, Bool(false), 3, List(wire.Bool, Bool(true), Bool(false)))},
		{"strings", Struct(1, String(""), 2, String("a"), 3, String("Löwe"), 4, String("\x00\xff\x80"))},
		{"long string", Struct(1, String(strings.Repeat("x", 5000)), 2, Bool(true))},
		{"uuid", Struct(1, UUID("0123456789abcdef"), 2, Set(wire.UUID, UUID("fedcba9876543210")))},
		{"ids out of order", Struct(900, I32(1), 3, I32(2), -7, I32(3), math.MaxInt16, I32(4), math.MinInt16, I32(5))},
		{"the same id twice", Struct(1, I32(1), 1, String("again"))},
		{"empty containers", Struct(1, List(wire.String), 2, Set(wire.Struct), 3, Map(wire.String, wire.List), 4, Map(wire.I8, wire.I8))},
		{"lists of fixed size", Struct(1, List(wire.I8, I8(1)), 2, Set(wire.I16, I16(1), I16(2)), 3, List(wire.Double, Repeat(300, Double(1))...))},
		{"list of strings", Struct(1, List(wire.String, Repeat(20, String("tag"))...), 2, I8(1))},
		{"list of structs", Struct(0, List(wire.Struct, Struct(), Struct(1, I32(1)), Struct(1, Struct(2, String("x")))))},
		{"list of lists", Struct(1, List(wire.List, List(wire.I32, I32(1)), List(wire.I32), List(wire.String, String("x"))))},
		{"map of fixed size", Struct(1, Map(wire.I32, wire.Bool, I32(1), Bool(true), I32(2), Bool(false)))},
		{"map of strings", Struct(1, Map(wire.String, wire.String, String("k"), String("v"), String(""), String("")))},
		{"map, fixed keys", Struct(1, Map(wire.I64, wire.String, I64(1), String("one"), I64(2), String("two")))},
		{"map, fixed values", Struct(1, Map(wire.String, wire.I64, String("one"), I64(1), String("two"), I64(2)))},
		{"map of maps", Struct(1, Map(wire.String, wire.Map, String("k"), Map(wire.I8, wire.Struct, I8(1), Struct(1, I8(1)))), 2, I8(1))},
		{"struct as key", Struct(1, Map(wire.Struct, wire.Set, Struct(1, I32(1)), Set(wire.String, String("a"))))},
		{"deep", Struct(1, Nested(30), 2, I32(1))},
	}
}

//go:embed testdata/vectors
var vectors embed.FS

// Vector is one message as another implementation writes it.
type Vector struct {
	Name  string // strict/call/echo: the head where there are two kinds, the kind of message, what is in it
	Bytes []byte
}

// BinaryVectors returns messages of ThriftPy in the binary protocol, half of them with a strict head.
func BinaryVectors() []Vector { return read("binary") }

// CompactVectors returns messages of ThriftPy2 in the compact protocol.
func CompactVectors() []Vector { return read("compact") }

// JSONVectors returns messages of ThriftPy2 in its own JSON protocol.
func JSONVectors() []Vector { return read("json") }

// ApacheJSONVectors returns messages of ThriftPy2 in Apache's JSON protocol; it cannot write empty lists.
func ApacheJSONVectors() []Vector { return read("apachejson") }

// UsersIDL is the IDL of all vectors.
func UsersIDL() string {
	text, err := vectors.ReadFile("testdata/vectors/users.thrift")
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}

func read(protocol string) []Vector {
	text, err := vectors.ReadFile("testdata/vectors/" + protocol + ".txt")
	if err != nil {
		panic(err) // it is embedded
	}
	var all []Vector
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		bytes, err := hex.DecodeString(digits)
		if err != nil {
			panic(fmt.Sprintf("vectors/%s.txt: %s: %v", protocol, name, err))
		}
		all = append(all, Vector{name, bytes})
	}
	return all
}
