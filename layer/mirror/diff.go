package mirror

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// maxDiffBytes bounds a reply that is compared, in binary.
const maxDiffBytes = 1 << 20

// Diff compares the replies of one method as values: the order of maps and sets does not matter, NaN is NaN, and a field that is left out
// is one with the IDL's default, where it has one. Fields that the IDL does not have are compared too.
//
// It is made once, immutable, and safe for concurrent use.
type Diff struct {
	result   *schema.StructType
	ignore   [][]string
	defaults map[*schema.Field][]byte // in binary
}

// NewDiff returns what compares replies of a method. Fields that ignore names are left out, at any depth: "updatedAt" is each field of that
// name, "home.city" each city in a home. Lists, sets and maps are no step of a path.
func NewDiff(m *schema.Method, ignore []string) *Diff {
	d := &Diff{result: m.Result, defaults: map[*schema.Field][]byte{}}
	for _, path := range ignore {
		d.ignore = append(d.ignore, strings.Split(path, "."))
	}
	for _, st := range reachable(m.Result) {
		for _, f := range st.Fields {
			if f.Default == nil || st.Kind == schema.Union {
				continue
			}
			if b, err := codec.AppendValue(nil, wire.Binary, f.Type, f.Default); err == nil {
				d.defaults[f] = b
			}
		}
	}
	return d
}

// Names reports whether a path of ignore names a field that replies of the method may have.
func Names(m *schema.Method, path string) bool {
	steps := strings.Split(path, ".")
	return slices.ContainsFunc(reachable(m.Result), func(st *schema.StructType) bool { return leads(st, steps) })
}

// leads reports whether the steps lead on from st.
func leads(st *schema.StructType, steps []string) bool {
	f := st.FieldByName(steps[0])
	if f == nil || len(steps) == 1 {
		return f != nil
	}
	return slices.ContainsFunc(structsIn(f.Type, nil), func(in *schema.StructType) bool { return leads(in, steps[1:]) })
}

// reachable returns st and all structs in it, however deep.
func reachable(st *schema.StructType) []*schema.StructType {
	all := []*schema.StructType{st}
	for i := 0; i < len(all); i++ {
		for _, f := range all[i].Fields {
			for _, in := range structsIn(f.Type, nil) {
				if !slices.Contains(all, in) {
					all = append(all, in)
				}
			}
		}
	}
	return all
}

// structsIn appends the structs that a type is made of, without looking into them.
func structsIn(t *schema.Type, all []*schema.StructType) []*schema.StructType {
	switch t.Kind {
	case schema.Struct:
		return append(all, t.Struct)
	case schema.Map:
		return structsIn(t.Elem, structsIn(t.Key, all))
	case schema.List, schema.Set:
		return structsIn(t.Elem, all)
	}
	return all
}

// Difference is what a comparison found.
type Difference struct {
	Result Result
	Paths  []string // sorted; of fields that differ, twenty at most; a field that the IDL does not have is "#" and its id
	More   bool     // there are more
}

// Compare compares what the caller got with what the copy got. p is the protocol of a reply that names none.
func (d *Diff) Compare(p wire.Protocol, main, copied *rpc.Reply) Difference {
	if cmp.Or(main.Protocol, p) == cmp.Or(copied.Protocol, p) && bytes.Equal(main.Body, copied.Body) {
		return Difference{Result: Same}
	}
	a, long, err := d.binary(p, main)
	if err != nil {
		return Difference{Result: MainFailed}
	}
	b, longer, err := d.binary(p, copied)
	switch {
	case err != nil:
		return Difference{Result: MirrorFailed}
	case long || longer:
		return Difference{Result: Answered}
	}
	c := comparison{Diff: d, found: map[string]bool{}}
	c.structs(d.result, a, b)
	if len(c.found) == 0 {
		return Difference{Result: Same}
	}
	out := Difference{Result: Differ, More: c.more}
	for path := range c.found {
		out.Paths = append(out.Paths, path)
	}
	slices.Sort(out.Paths)
	return out
}

// binary returns the body of a reply in binary, which can be walked to its end, unless it is too long.
func (d *Diff) binary(p wire.Protocol, r *rpc.Reply) (body []byte, long bool, err error) {
	body = r.Body
	if from := cmp.Or(r.Protocol, p); from != wire.Binary {
		limits := wire.Limits{MessageBytes: 4 * max(len(body), maxDiffBytes)}
		if body, err = codec.Translate(nil, from, wire.Binary, d.result, body, limits); err != nil {
			return nil, false, err
		}
	}
	if len(body) > maxDiffBytes {
		return nil, true, nil
	}
	return body, false, walkable(body)
}

// comparison is one comparison under way.
type comparison struct {
	*Diff
	path  []string // of names, to where it stands
	found map[string]bool
	more  bool
}

// differs notes that the replies differ where it stands.
func (c *comparison) differs() {
	path := strings.Join(c.path, ".")
	if !c.found[path] && len(c.found) == maxPaths {
		c.more = true
		return
	}
	c.found[path] = true
}

// ignored reports whether the field where it stands is left out.
func (c *comparison) ignored() bool {
	return slices.ContainsFunc(c.ignore, func(steps []string) bool {
		return len(steps) <= len(c.path) && slices.Equal(steps, c.path[len(c.path)-len(steps):])
	})
}

// structs compares two structs; st is nil where the IDL does not know them.
func (c *comparison) structs(st *schema.StructType, a, b []byte) {
	as, bs := c.fields(st, a), c.fields(st, b)
	for i, j := 0, 0; i < len(as) || j < len(bs); {
		switch {
		case j == len(bs) || i < len(as) && as[i].id < bs[j].id:
			c.at(st, as[i].id, c.differs)
			i++
		case i == len(as) || bs[j].id < as[i].id:
			c.at(st, bs[j].id, c.differs)
			j++
		default:
			x, y := as[i], bs[j]
			c.at(st, x.id, func() {
				if x.typ != y.typ {
					c.differs()
					return
				}
				c.values(typeOf(st, x), x.typ, x.raw, y.raw)
			})
			i, j = i+1, j+1
		}
	}
}

// at runs f one step deeper, unless the field is left out.
func (c *comparison) at(st *schema.StructType, id int16, f func()) {
	name := "#" + strconv.Itoa(int(id))
	if st != nil {
		if known := st.Field(id); known != nil {
			name = known.Name
		}
	}
	c.path = append(c.path, name)
	if !c.ignored() {
		f()
	}
	c.path = c.path[:len(c.path)-1]
}

// typeOf returns what the IDL says of a field as it came; nil where it does not have it so.
func typeOf(st *schema.StructType, x field) *schema.Type {
	if st == nil {
		return nil
	}
	if f := st.Field(x.id); f != nil && f.Type.Wire() == x.typ {
		return f.Type
	}
	return nil
}

// values compares two values of the same type on the wire; t is nil where the IDL does not know them.
func (c *comparison) values(t *schema.Type, typ wire.Type, a, b []byte) {
	if bytes.Equal(a, b) {
		return
	}
	switch typ {
	case wire.Struct:
		c.structs(structOf(t), a, b)
	case wire.List:
		c.lists(t, a, b)
	case wire.Map:
		c.maps(t, a, b)
	default:
		if !bytes.Equal(c.canonical(nil, t, typ, a), c.canonical(nil, t, typ, b)) {
			c.differs()
		}
	}
}

func structOf(t *schema.Type) *schema.StructType {
	if t == nil {
		return nil
	}
	return t.Struct
}

func (c *comparison) lists(t *schema.Type, a, b []byte) {
	x, y := elements(a), elements(b)
	if len(x.items) != len(y.items) || len(x.items) > 0 && x.elem != y.elem {
		c.differs()
		return
	}
	for i := range x.items {
		c.values(elemOf(t, x.elem), x.elem, x.items[i], y.items[i])
	}
}

func (c *comparison) maps(t *schema.Type, a, b []byte) {
	x, y := pairs(a), pairs(b)
	if len(x.items) == 0 && len(y.items) == 0 {
		return
	}
	if x.key != y.key || x.elem != y.elem { // an empty one has any types, and differs from one that is not
		c.differs()
		return
	}
	theirs := map[string][]byte{}
	for _, p := range y.items {
		theirs[string(c.canonical(nil, keyOf(t, y.key), y.key, p.key))] = p.value
	}
	ours := map[string][]byte{} // of a key that comes twice the last one counts
	var order []string
	for _, p := range x.items {
		key := string(c.canonical(nil, keyOf(t, x.key), x.key, p.key))
		if _, twice := ours[key]; !twice {
			order = append(order, key)
		}
		ours[key] = p.value
	}
	if len(theirs) != len(ours) {
		c.differs()
	}
	for _, key := range order {
		v, ok := theirs[key]
		if !ok {
			c.differs()
			continue
		}
		c.values(elemOf(t, x.elem), x.elem, ours[key], v)
	}
}

// elemOf returns what the IDL says of the elements of a list, a set or a map, where they are what came.
func elemOf(t *schema.Type, typ wire.Type) *schema.Type {
	if t == nil || t.Elem == nil || t.Elem.Wire() != typ {
		return nil
	}
	return t.Elem
}

func keyOf(t *schema.Type, typ wire.Type) *schema.Type {
	if t == nil || t.Key == nil || t.Key.Wire() != typ {
		return nil
	}
	return t.Key
}
