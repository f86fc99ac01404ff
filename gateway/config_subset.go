package gateway

import (
	"reflect"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/rpc"
)

// Subset limits calls to the endpoints with certain labels.
type Subset struct {
	// Labels are what an endpoint has to have, each label with its value: a text, or a block that says where in the call it stands. More specific
	// ones replace the others whole; 16 at most.
	Labels SubsetLabels `yaml:"labels"`
	// Otherwise is what becomes of a call where no endpoint has the labels, or each that has is drained or down (not reached three times in a
	// row): any, it goes to any endpoint; refuse, it fails with UNAVAILABLE, which names the labels. Where they are only busy it waits. Default any.
	Otherwise string `yaml:"otherwise" oneof:"any,refuse"`

	at spot
}

// SubsetLabels are labels with their values; nil where the file has none.
type SubsetLabels map[string]LabelValue

// Elem returns what the manual says of a value.
func (SubsetLabels) Elem() reflect.Type { return reflect.TypeFor[LabelValue]() }

// LabelValue is a value, or where it stands in a call.
type LabelValue struct {
	Is string
	// Header is a transport header, of whatever case.
	Header string `yaml:"header"`
	// Argument is an argument, or a field in one (user.id): a text as it is, an enum by its name.
	Argument string `yaml:"argument"`
	// Default is the value of a call without it. Default none: the label does not matter to such a call.
	Default string `yaml:"default"`

	at spot
}

func newSubset() Subset { return Subset{Otherwise: "any"} }

// DecodeYAML takes a block, or off.
func (s *Subset) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Subset
	if offOr(d, node, path, s, newSubset()) {
		s.at = spotOf(d, node, path)
		d.Decode(node, path, (*plain)(s))
	}
}

// DecodeYAML takes a block of labels in the place of what there was, and finds what is no label.
func (l *SubsetLabels) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	*l = nil
	d.Decode(node, path, (*map[string]LabelValue)(l))
	for name, v := range *l {
		if v.at.node != nil && !rpc.IsLabel(name) { // nil: its lines could not be read, which is told
			d.Addf(v.at.node, v.at.key, "%v", rpc.ErrLabel)
		}
	}
	if len(*l) > rpc.MaxLabels {
		d.Addf(node, path, "%d labels are more than %d", len(*l), rpc.MaxLabels)
	}
}

// DecodeYAML takes a text or a block.
func (v *LabelValue) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain LabelValue
	v.at = spotOf(d, node, path)
	was := len(d.Mistakes())
	short(d, node, path, &v.Is, (*plain)(v))
	switch block := node.Kind == yaml.MappingNode; {
	case len(d.Mistakes()) > was:
	case block && (v.Header == "") == (v.Argument == ""):
		d.Addf(node, path, "one of header and argument is wanted, or the value itself instead of a block")
	case block && v.Default != "" && !rpc.IsLabel(v.Default):
		d.Addf(strictyaml.At(node, "default"), path+".default", "%v", rpc.ErrLabel)
	case !block && !rpc.IsLabel(v.Is):
		d.Addf(node, path, "%v", rpc.ErrLabel)
	}
}
