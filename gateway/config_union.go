package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/authz"
	"github.com/thriftloom/thriftloom/layer/limit"
	"github.com/thriftloom/thriftloom/layer/priority"
)

// place is where a value stands in the file, and under which key.
type place struct {
	node *yaml.Node
	key  string
}

// short decodes a union whose short form is one text: into text, or else into long.
func short(d *strictyaml.Decoder, node *yaml.Node, path string, text *string, long any) {
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, long)
		return
	}
	if s, ok := d.Text(node, path); ok {
		*text = s
	}
}

// Listeners is one listener or a list of them.
type Listeners []Listener

// DecodeYAML takes an address, a block, or a list of these.
func (l *Listeners) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.Kind == yaml.SequenceNode || node.ShortTag() == "!!null" {
		d.Decode(node, path, (*[]Listener)(l))
		return
	}
	*l = make(Listeners, 1)
	d.Decode(node, path, &(*l)[0])
}

// DecodeYAML takes an address or a block.
func (l *Listener) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Listener
	l.at = place{node, path}
	short(d, node, path, &l.Address, (*plain)(l))
}

// DecodeYAML takes an address or a block.
func (a *Admin) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Admin
	a.at = place{node, path}
	short(d, node, path, &a.Address, (*plain)(a))
}

// DecodeYAML notes where the block stands.
func (s *ServerTLS) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain ServerTLS
	s.at = place{node, path}
	d.Decode(node, path, (*plain)(s))
}

// DecodeYAML notes where the block stands.
func (c *ClientTLS) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain ClientTLS
	c.at = place{node, path}
	d.Decode(node, path, (*plain)(c))
}

// DecodeYAML notes where the block stands.
func (s *ServerSASL) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain ServerSASL
	s.at = place{node, path}
	d.Decode(node, path, (*plain)(s))
}

// DecodeYAML notes where the block stands.
func (c *ClientSASL) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain ClientSASL
	c.at = place{node, path}
	d.Decode(node, path, (*plain)(c))
}

// DecodeYAML takes a number or a block.
func (g *Gateways) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	g.at = place{node, path}
	if node.Kind == yaml.MappingNode {
		type plain Gateways
		d.Decode(node, path, (*plain)(g))
		return
	}
	d.DecodeTagged(node, path, &g.N, `min:"1" max:"64"`)
}

// Allow is a list of who may call; nil is for anyone.
type Allow []string

// DecodeYAML takes the list, and finds entries that are none.
func (a *Allow) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.ShortTag() == "!!null" { // lines that were commented out must not open the door
		d.Addf(node, path, "has no value: [] lets nobody in; leave the key out to let in anyone")
		*a = Allow{}
		return
	}
	was := len(d.Mistakes())
	var list []string
	d.Decode(node, path, &list)
	if len(d.Mistakes()) > was {
		list = []string{} // what cannot be read lets nobody in
	}
	for i, text := range list {
		if err := authz.Check(text); err != nil {
			d.Addf(node.Content[i], fmt.Sprintf("%s[%d]", path, i), "%q: %v", text, err)
		}
	}
	*a = list
}

// Balance is the policy by which endpoints are chosen.
type Balance struct {
	balance.Config `yaml:",inline"`
}

// DecodeYAML takes the name of a policy or a block.
func (b *Balance) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, &b.Config)
		return
	}
	b.Config = balance.Default() // a name alone says all
	tagged(d, node, path, &b.Policy, &b.Config, "Policy")
}

// Limits is a rule or a list of them.
type Limits []Limit

// Limit is one rule.
type Limit struct {
	limit.Config `yaml:",inline"`

	at   place
	file string // in which it stands
}

// DecodeYAML takes a block or a list of them, of which either may be empty, and finds rules that say nothing. What stood there before is replaced.
func (l *Limits) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() != "!!null" {
		d.Addf(node, path, "is no rule: a block is wanted, {rate: 100/s}, or a list of them")
		return
	}
	if node.Kind != yaml.MappingNode {
		var list []Limit
		d.Decode(node, path, &list)
		*l = list
		return
	}
	*l = nil
	if len(node.Content) == 0 {
		return
	}
	*l = make(Limits, 1)
	d.Decode(node, path, &(*l)[0])
}

// DecodeYAML takes a block.
func (l *Limit) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	was := len(d.Mistakes())
	d.Decode(node, path, &l.Config)
	l.at, l.file = place{node, path}, d.File
	if len(d.Mistakes()) > was {
		return
	}
	for _, m := range l.Mistakes() {
		if m.Key == "" {
			d.Addf(node, path, "%s", m.Text)
		} else {
			d.Addf(strictyaml.At(node, m.Key), path+"."+m.Key, "%s", m.Text)
		}
	}
}

// Priority is the class of calls.
type Priority struct {
	priority.Config `yaml:",inline"`
}

// DecodeYAML takes the name of a class or a block.
func (p *Priority) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, &p.Config)
		return
	}
	p.Config = priority.Default() // a name alone says all
	tagged(d, node, path, &p.Class, &p.Config, "Class")
}

// DecodeYAML takes an address or a block.
func (e *Endpoint) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Endpoint
	e.at, e.Weight = place{node, path}, 1
	short(d, node, path, &e.Address, (*plain)(e))
}

// DecodeYAML takes a path or a block.
func (i *IDL) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain IDL
	short(d, node, path, &i.Path, (*plain)(i))
}

// DecodeYAML takes the name of a shared upstream or a block.
func (u *UpstreamRef) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	short(d, node, path, &u.Name, &u.Upstream)
}

// Slots is a number of calls, or Auto: then it is learned, and N is the most. 0 means that the file does not say.
type Slots struct {
	N    int
	Auto bool
}

// maxLearned is how many slots are learned at most: more threads than that a Python process does not have.
const maxLearned = 512

// DecodeYAML takes a number, or the word auto.
func (s *Slots) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	text := node.Value
	if strings.Contains(text, "${") {
		d.DecodeTagged(node, path, &text, "")
	}
	switch _, err := strconv.Atoi(text); {
	case text == "auto":
		*s = Slots{maxLearned, true}
	case err != nil && node.Kind == yaml.ScalarNode && text != "" && text != "null" && text != "~":
		d.Addf(node, path, "wants a whole number or auto, has %q", text)
	default:
		*s = Slots{}
		d.DecodeTagged(node, path, &s.N, `min:"1" max:"65536"`)
	}
}

// DecodeYAML takes a number, or a block of bounds, which is not built yet.
func (r *Replicas) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if node.Kind == yaml.MappingNode {
		type plain Replicas
		d.Addf(node, path, "a block of bounds is not built yet")
		d.Decode(node, path, (*plain)(r))
		return
	}
	d.DecodeTagged(node, path, &r.N, `max:"1000"`)
}
