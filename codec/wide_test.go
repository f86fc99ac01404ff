package codec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/thriftloom/thriftloom/schema"
)

// wide is a list of structs of a hundred fields: a byte on the wire, kilobytes in memory.
var wide = func() *schema.StructType {
	var fields strings.Builder
	for i := range 100 {
		fmt.Fprintf(&fields, "%d: optional string f%d\n", i+1, i+1)
	}
	doc := schema.MustParse("struct Row {" + fields.String() + "}\nstruct Wide { 1: list<Row> rows }")
	return doc.Lookup("Wide").(*schema.StructType)
}()

// rowGo has the fields of Row.
var rowGo = func() reflect.Type {
	var fields []reflect.StructField
	for i := range 100 {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i+1), Type: reflect.TypeFor[string]()})
	}
	return reflect.StructOf(fields)
}()

// wideGo is wide as a Go type.
var wideGo = reflect.StructOf([]reflect.StructField{{Name: "Rows", Type: reflect.SliceOf(rowGo)}})
