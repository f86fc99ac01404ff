package cache

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

// Policy is what holds for one method's calls, made by Compile. The zero value caches nothing and makes nothing void. Immutable.
type Policy struct {
	*rules
}

// rules are a Config that fits its method.
type rules struct {
	Config
	place     Place
	method    *schema.Method
	arguments *codec.Canonical
	prefix    [sha256.Size]byte // of the key: all that is the same for every call of the method
	groups    []ID              // of all replies: the method, the service
	tags      []tag
	targets   []target
	kept      map[int16]time.Duration // how long a declared exception is kept, by the id of its field in the result
}

// Place is where a method stands, and what is said of its calls elsewhere.
type Place struct {
	Namespace string // of a store: gateways with different ones share nothing
	Service   string // label
	// Methods returns the policies of the service's methods, by which one names replies of another. It is asked by Link.
	Methods map[string]Config
	// Timeout bounds a load: the method's own timeout.
	Timeout time.Duration
	// Authenticated says that some listener of the service verifies who calls.
	Authenticated bool
	Limits        wire.Limits
}

// Compile makes the policy of a method. What is wrong with it is returned by key; the policy is the zero value then.
func (c Config) Compile(m *schema.Method, at Place) (Policy, []Mistake) {
	all := c.Mistakes()
	add := func(key, text string, args ...any) { all = append(all, Mistake{key, fmt.Sprintf(text, args...)}) }
	r := &rules{Config: c, place: at, method: m, kept: map[int16]time.Duration{}}
	var err error
	if r.arguments, err = codec.NewCanonical(m.Args, c.Key...); err != nil {
		add("key", "%v", err)
	}
	if m.Oneway {
		if len(c.Invalidates) > 0 {
			add("invalidates", "%s is oneway: nobody knows when it has happened", m.Name)
		} else {
			add("", "%s is oneway: it has no reply", m.Name)
		}
	}
	if c.keeps() && len(c.Invalidates) > 0 {
		add("invalidates", "beside ttl: %s either changes something, or its replies are kept", m.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Exceptions)) {
		at := slices.IndexFunc(m.Throws, func(f *schema.Field) bool { return f.Type.Struct != nil && f.Type.Struct.Name == name })
		if at < 0 {
			add("exceptions", "%s declares no exception %s", m.Name, name)
			continue
		}
		r.kept[m.Throws[at].ID] = c.Exceptions[name]
	}
	for _, text := range c.Tags {
		t, err := newTag(m, text)
		if err != nil {
			add("tags", "%v", err)
		}
		r.tags = append(r.tags, t)
	}
	for _, text := range c.Invalidates {
		t, err := newTarget(m, text, at)
		if err != nil {
			add("invalidates", "%v", err)
		}
		r.targets = append(r.targets, t)
	}
	if len(all) > 0 {
		return Policy{}, all
	}
	r.prefix = prefix(at, m)
	r.groups = []ID{at.methodID(m.Name), at.serviceID()}
	return Policy{r}, nil
}

// answers reports whether calls may be answered without one at the upstream of their own: not those that make something void.
func (p Policy) answers() bool { return p.rules != nil && len(p.Invalidates) == 0 }

// Keeps reports whether replies of the method are kept.
func (p Policy) Keeps() bool { return p.rules != nil && p.keeps() }

func (p Policy) acts() bool { return p.rules != nil }

// shared reports whether the replies to equal calls are the same for everybody.
func (r *rules) shared() bool {
	return len(r.Vary) == 0 && (r.Scope == "shared" || r.Scope == "" && !r.place.Authenticated)
}

// life is how long a reply is fresh; zero: it is not kept.
func (r *rules) life(reply *rpc.Reply) time.Duration {
	if reply.Exception != 0 {
		return r.kept[reply.Exception]
	}
	return r.TTL
}

// hash names what its parts are, each of which is told from the next.
func hash(parts ...string) (sum [sha256.Size]byte) {
	var b []byte
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return sha256.Sum256(b)
}

func short(sum [sha256.Size]byte) ID { return ID(sum[:len(ID{})]) }

// form is the version of how keys are made.
const form = "thriftloom cache 1"

func prefix(at Place, m *schema.Method) [sha256.Size]byte {
	return hash(form, "call", at.Namespace, at.Service, m.Name, m.Fingerprint())
}

func (at Place) serviceID() ID { return short(hash(form, "service", at.Namespace, at.Service)) }
func (at Place) methodID(name string) ID {
	return short(hash(form, "method", at.Namespace, at.Service, name))
}
func (at Place) tagID(text string) ID {
	return short(hash(form, "tag", at.Namespace, at.Service, text))
}

// tag is a text with arguments in it: "user:{id}".
type tag struct {
	texts     []string // around the arguments: one more than those
	arguments []codec.Argument
}

// newTag reads a tag of a method.
func newTag(m *schema.Method, text string) (t tag, err error) {
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return tag{}, fmt.Errorf("%q: } without {", text)
		}
		t.texts = append(t.texts, before)
		if !found {
			return t, nil
		}
		name, behind, found := strings.Cut(after, "}")
		if !found {
			return tag{}, fmt.Errorf("%q: { without }", text)
		}
		a, ok := codec.FindArgument(m, name)
		if !ok {
			return tag{}, fmt.Errorf("%q: %s has no argument %s", text, m.Name, name)
		}
		switch a.Type().Kind {
		case schema.Struct, schema.List, schema.Set, schema.Map, schema.Double:
			return tag{}, fmt.Errorf("%q: %s is a %s: a tag is made of integers, texts and enums", text, name, a.Type())
		}
		t.arguments, rest = append(t.arguments, a), behind
	}
}

// of returns the tag of a call; ok is false where an argument is missing.
func (t *tag) of(call *rpc.Call) (text string, ok bool) {
	var b strings.Builder
	for i, before := range t.texts {
		b.WriteString(before)
		if i == len(t.arguments) {
			return b.String(), true
		}
		value, ok := t.arguments[i].JSON(call.Protocol, call.Body)
		if !ok {
			return "", false
		}
		var text string
		if json.Unmarshal(value, &text) != nil { // a number
			text = string(value)
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// target is what a call makes void: a call, a method, or a tag.
type target struct {
	method    ID // of the method; where the call cannot be told, all of its replies
	prefix    [sha256.Size]byte
	arguments *codec.Canonical // of the call that makes it void; nil: the whole method
	grouped   bool             // there may be several replies to the call, one for each caller
	tag       *tag
}

// newTarget reads one entry of Invalidates.
func newTarget(m *schema.Method, text string, at Place) (target, error) {
	if name, ok := strings.CutPrefix(text, "tag:"); ok {
		t, err := newTag(m, name)
		return target{tag: &t}, err
	}
	name, list, whole := strings.Cut(strings.TrimSpace(text), "(")
	read := m.Service.Method(name)
	if read == nil {
		return target{}, fmt.Errorf("%q: %s has no method %s", text, m.Service.Name, name)
	}
	t := target{method: at.methodID(name)}
	if !whole {
		return t, nil
	}
	list, closed := strings.CutSuffix(list, ")")
	if !closed {
		return target{}, fmt.Errorf("%q: ) is missing", text)
	}
	var paths []string
	for path := range strings.SplitSeq(list, ",") {
		if path = strings.TrimSpace(path); path != "" {
			paths = append(paths, path)
		}
	}
	other := at.Methods[name]
	theirs, err := codec.NewCanonical(read.Args, other.Key...)
	if err != nil {
		return target{}, fmt.Errorf("%q: the key of %s: %w", text, name, err)
	}
	if len(paths) == 0 && len(theirs.Types()) == 0 {
		t.arguments = theirs
	} else if t.arguments, err = codec.NewCanonical(m.Args, paths...); err != nil || len(paths) == 0 {
		return target{}, fmt.Errorf("%q: %w", text, cmp.Or(err, fmt.Errorf("the key of %s has %d values, and none is given", name, len(theirs.Types()))))
	}
	if err := fits(t.arguments.Types(), theirs.Types()); err != nil {
		return target{}, fmt.Errorf("%q: the key of %s: %w", text, name, err)
	}
	t.prefix = prefix(at, read)
	t.grouped = !(&rules{Config: other, place: at}).shared()
	return t, nil
}

// fits reports whether values of the first types make a key of the second.
func fits(given, wanted []*schema.Type) error {
	if len(given) != len(wanted) {
		return fmt.Errorf("has %d values, %d are given", len(wanted), len(given))
	}
	for i := range given {
		if g, w := given[i].String(), wanted[i].String(); g != w {
			return fmt.Errorf("value %d is a %s, given is a %s", i+1, w, g)
		}
	}
	return nil
}
