package gateway

import (
	"reflect"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// spot is where a value stands, and in which file.
type spot struct {
	place
	file string
}

func spotOf(d *strictyaml.Decoder, node *yaml.Node, path string) spot {
	return spot{place{node, path}, d.File}
}

// offOr takes the word off, which makes of into what is not set, and reports whether there is a block to decode instead.
func offOr[T any](d *strictyaml.Decoder, node *yaml.Node, path string, into *T, none T) (block bool) {
	if node.Kind == yaml.MappingNode || node.ShortTag() == "!!null" {
		return true
	}
	word, ok := "", node.Kind == yaml.ScalarNode
	if ok {
		if word, ok = d.Text(node, path); !ok {
			return false
		}
	}
	if word != "off" {
		d.Addf(node, path, "wants a block of keys, or off")
		return false
	}
	*into = none
	return false
}

// Mirror copies calls to another upstream, and compares what it answers.
type Mirror struct {
	// To is a name out of `upstreams`: where the copies go.
	To UpstreamName `yaml:"to"`
	// Percent is how many of a hundred calls are copied. Default 100; 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`
	// All copies calls of methods that are not idempotent too, and oneways: what they change is changed there as well. Default false.
	All bool `yaml:"all"`
	// Timeout bounds a copy. Default what the call itself may take; 1ms to 1h.
	Timeout time.Duration `yaml:"timeout" min:"1ms" max:"1h"`
	// MaxInFlight bounds the copies of a service that are under way, in calls; what is beyond is dropped, and counted. Their bodies hold 32MiB
	// at most besides. Default 64; 1 to 10000.
	MaxInFlight int `yaml:"max_in_flight" min:"1" max:"10000"`
	// Diff compares the replies: true, or a block that says what is left out. A more specific one replaces the other whole. Default false.
	Diff Diff `yaml:"diff"`

	at spot
}

// Diff compares replies as values.
type Diff struct {
	On bool
	// Ignore is fields that are left out, by name or path, at any depth: updatedAt is every field of that name, home.city every city in a
	// home. Lists, sets and maps are no step. Default none.
	Ignore []string `yaml:"ignore"`

	at spot
}

// Canary sends some of the calls to another upstream.
type Canary struct {
	// To is a name out of `upstreams`: where they go.
	To UpstreamName `yaml:"to"`
	// Percent is how many of a hundred calls go there. Default 0; 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`
	// By is what keeps calls together: of those with the same value all go there, or none, and percent is of the values. A call without it
	// goes by itself. Default each call goes by itself.
	By CanaryKey `yaml:"by"`
	// Match is calls that go there whatever percent is. Default none.
	Match Match `yaml:"match"`
	// AbortAbove ends the canary, until its block is changed or the gateway restarted, when of its last hundred attempts, twenty at least, so many
	// percent more have failed than of the other upstream's last hundred. 0 is never. Default 0; 0 to 100.
	AbortAbove float64 `yaml:"abort_above" min:"0" max:"100"`

	at spot
}

// CanaryKey is where a value of a call stands.
type CanaryKey struct {
	// Header is a transport header, of whatever case.
	Header string `yaml:"header"`
	// Argument is an argument, or a field in one (user.id).
	Argument string `yaml:"argument"`

	at spot
}

// Match says which calls are meant; one of the things that stand in it is enough. A more specific one replaces the other whole.
type Match struct {
	// Header is transport headers, of whatever case, with their values.
	Header map[string]string `yaml:"header"`
	// Argument is arguments, or fields in them (user.id), with their values; an enum's is its name.
	Argument map[string]string `yaml:"argument"`
	// Caller is callers: the name that one gives itself, an identity of its certificate, user:alice, or its address.
	Caller []string `yaml:"caller"`

	at spot
}

// Faults makes calls wait and fail on purpose. A call first waits, then fails, each by its own percent.
type Faults struct {
	// Delay lets calls wait, until their deadline at most; a wait takes no slot. Default none.
	Delay Delay `yaml:"delay"`
	// Abort lets calls fail with a code. Default none.
	Abort Abort `yaml:"abort"`
	// Exception lets calls end with an exception that the IDL declares for their method. Default none.
	Exception FaultException `yaml:"exception"`
	// Only is which calls are meant. Default all.
	Only Match `yaml:"only"`

	at spot
}

// Delay is a time, or a block.
type Delay struct {
	// Min is the least that a call waits. 0 to 10m.
	Min time.Duration `yaml:"min" max:"10m"`
	// Max is the most; a call waits for any time between the two. Default min; 0 to 10m.
	Max time.Duration `yaml:"max" max:"10m"`
	// Percent is how many of a hundred calls wait. Default 100; 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`

	at spot
}

// Abort is a code, or a block.
type Abort struct {
	// Code is what callers get. With HANDLER_FAILED and `on_crash: close` it is a closed connection.
	Code string `yaml:"code" oneof:"DEADLINE_EXCEEDED,UNAVAILABLE,RESOURCE_EXHAUSTED,CANCELLED,PERMISSION_DENIED,HANDLER_FAILED,INTERNAL_ERROR,UNKNOWN_METHOD,MISSING_RESULT,PROTOCOL_ERROR"`
	// Percent is how many of a hundred calls fail so. Default 100; 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`

	at spot
}

// FaultException is an exception's name, or a block.
type FaultException struct {
	// Type is the exception's name in the IDL.
	Type string `yaml:"type"`
	// Value is its fields, as the IDL has them: enums by name, binary in base64. Default those that have a default.
	Value FaultValue `yaml:"value"`
	// Percent is how many of a hundred calls end so; with those of abort no more than a hundred. Default 100; 0 to 100.
	Percent float64 `yaml:"percent" min:"0" max:"100"`

	at spot
}

func newMirror() Mirror { return Mirror{Percent: 100, MaxInFlight: 64} }

func newFaults() Faults {
	return Faults{Delay: Delay{Percent: 100}, Abort: Abort{Percent: 100}, Exception: FaultException{Percent: 100}}
}

// UpstreamName is a name out of `upstreams`.
type UpstreamName struct {
	Name string

	at spot
}

// DecodeYAML takes the name, and notes where it stands.
func (u *UpstreamName) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if name, ok := d.Text(node, path); ok {
		*u = UpstreamName{name, spotOf(d, node, path)}
	}
}

// DecodeYAML takes a block, or off.
func (m *Mirror) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Mirror
	if offOr(d, node, path, m, newMirror()) {
		m.at = spotOf(d, node, path)
		d.Decode(node, path, (*plain)(m))
	}
}

// DecodeYAML takes true, false or a block, in the place of what there was.
func (x *Diff) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Diff
	*x = Diff{at: spotOf(d, node, path)}
	if node.Kind == yaml.MappingNode {
		x.On = true
		d.Decode(node, path, (*plain)(x))
		return
	}
	d.Decode(node, path, &x.On)
}

// DecodeYAML takes a block, or off.
func (c *Canary) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Canary
	if offOr(d, node, path, c, Canary{}) {
		c.at = spotOf(d, node, path)
		d.Decode(node, path, (*plain)(c))
	}
}

// DecodeYAML takes the block in the place of what there was.
func (k *CanaryKey) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain CanaryKey
	*k = CanaryKey{at: spotOf(d, node, path)}
	d.Decode(node, path, (*plain)(k))
}

// DecodeYAML takes the block in the place of what there was.
func (m *Match) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Match
	*m = Match{at: spotOf(d, node, path)}
	d.Decode(node, path, (*plain)(m))
}

// DecodeYAML takes a block, or off.
func (f *Faults) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Faults
	if offOr(d, node, path, f, newFaults()) {
		f.at = spotOf(d, node, path)
		d.Decode(node, path, (*plain)(f))
	}
}

// DecodeYAML takes a time or a block.
func (x *Delay) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Delay
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, (*plain)(x))
	} else {
		*x = Delay{Percent: 100}
		tagged(d, node, path, &x.Min, x, "Min")
		x.Max = x.Min
	}
	x.at = spotOf(d, node, path)
}

// DecodeYAML takes a code or a block.
func (a *Abort) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain Abort
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, (*plain)(a))
	} else {
		*a = Abort{Percent: 100}
		tagged(d, node, path, &a.Code, a, "Code")
	}
	a.at = spotOf(d, node, path)
}

// DecodeYAML takes a name or a block.
func (x *FaultException) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	type plain FaultException
	if node.Kind == yaml.MappingNode {
		d.Decode(node, path, (*plain)(x))
	} else {
		*x = FaultException{Percent: 100}
		d.Decode(node, path, &x.Type)
	}
	x.at = spotOf(d, node, path)
}

// tagged decodes the short form of a block into the field that it stands for, with the field's tags.
func tagged[T any](d *strictyaml.Decoder, node *yaml.Node, path string, into any, _ *T, field string) {
	f, _ := reflect.TypeFor[T]().FieldByName(field)
	d.DecodeTagged(node, path, into, f.Tag)
}

// FaultValue is a value of a type of the IDL, as JSON; nil where the file has none.
type FaultValue struct{ JSON []byte }

// DecodeYAML takes any value.
func (v *FaultValue) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	v.JSON = appendJSON(nil, d, node, path)
}
