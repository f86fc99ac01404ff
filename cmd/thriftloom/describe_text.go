package main

import (
	"fmt"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/schema"
)

// text returns d in the words of the IDL, typedefs resolved.
func (d described) text() string {
	var blocks []string
	for _, s := range d.services {
		blocks = append(blocks, serviceText(s, d.from))
	}
	for _, m := range d.methods {
		blocks = append(blocks, docText("", m.Doc)+signature(m)+inherited(m, d.from)+"\n")
	}
	for _, t := range d.types {
		blocks = append(blocks, typeText(t))
	}
	return strings.Join(blocks, "\n")
}

func serviceText(s *schema.Service, from *schema.Document) string {
	var b strings.Builder
	b.WriteString(docText("", s.Doc) + "service " + serviceName(s, from))
	if s.Extends != nil {
		b.WriteString(" extends " + serviceName(s.Extends, from))
	}
	b.WriteString(" {\n")
	for _, m := range s.Methods {
		b.WriteString(docText("  ", m.Doc) + "  " + signature(m) + inherited(m, from) + "\n")
	}
	return b.String() + "}\n"
}

func inherited(m *schema.Method, from *schema.Document) string {
	if m.Declared == m.Service {
		return ""
	}
	return "  // of " + serviceName(m.Declared, from)
}

// signature returns `User getUser(1: i64 id) throws (1: NotFound missing)`.
func signature(m *schema.Method) string {
	s := m.Return.String() + " " + m.Name + "(" + fieldList(m.Args.Fields) + ")"
	if m.Oneway {
		s = "oneway " + s
	}
	if len(m.Throws) > 0 {
		s += " throws (" + fieldList(m.Throws) + ")"
	}
	return s
}

func fieldList(fields []*schema.Field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = fieldText(f)
	}
	return strings.Join(list, ", ")
}

func fieldText(f *schema.Field) string {
	s := fmt.Sprintf("%d: ", f.ID)
	if word := requiredness(f); word != "" {
		s += word + " "
	}
	s += f.Type.String() + " " + f.Name
	if f.Default != nil {
		s += " = " + valueText(f.Type, f.Default)
	}
	return s
}

func requiredness(f *schema.Field) string {
	switch f.Required {
	case schema.Required:
		return "required"
	case schema.Optional:
		return "optional"
	}
	return ""
}

func typeText(t any) string {
	switch x := t.(type) {
	case *schema.StructType:
		var b strings.Builder
		fmt.Fprintf(&b, "%s%s %s {\n", docText("", x.Doc), structWord(x), x.Name)
		for _, f := range x.Fields {
			b.WriteString(docText("  ", f.Doc) + "  " + fieldText(f) + "\n")
		}
		return b.String() + "}\n"
	case *schema.EnumType:
		var b strings.Builder
		fmt.Fprintf(&b, "%senum %s {\n", docText("", x.Doc), x.Name)
		for _, v := range x.Values {
			fmt.Fprintf(&b, "%s  %s = %d\n", docText("  ", v.Doc), v.Name, v.Value)
		}
		return b.String() + "}\n"
	case *schema.Typedef:
		return fmt.Sprintf("%stypedef %s %s\n", docText("", x.Doc), x.Type, x.Name)
	case *schema.Const:
		return fmt.Sprintf("%sconst %s %s = %s\n", docText("", x.Doc), x.Type, x.Name, valueText(x.Type, x.Value))
	}
	return ""
}

func structWord(s *schema.StructType) string {
	switch s.Kind {
	case schema.Union:
		return "union"
	case schema.Exception:
		return "exception"
	}
	return "struct"
}

// valueText returns a constant as JSON; an enum's as its name.
func valueText(t *schema.Type, v schema.Value) string {
	if n, ok := v.(int32); ok && t.Enum != nil && t.Enum.NameOf(n) != "" {
		return t.Enum.NameOf(n)
	}
	text, err := codec.AppendJSON(nil, t, v)
	if err != nil {
		return err.Error() // the value stands as it is in the IDL: what it cannot be, it says
	}
	return string(text)
}

func docText(indent, doc string) string {
	if doc = strings.TrimSpace(doc); doc == "" {
		return ""
	}
	return indent + "// " + strings.ReplaceAll(doc, "\n", "\n"+indent+"// ") + "\n"
}
