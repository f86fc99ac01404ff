package gateway

import (
	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
	"github.com/thriftloom/thriftloom/layer/breaker"
	"github.com/thriftloom/thriftloom/layer/hedge"
)

// Hedge is the block of a layer that is off unless it is there.
type Hedge struct {
	On           bool
	hedge.Config `yaml:",inline"`
}

// DecodeYAML takes true, false or a block.
func (h *Hedge) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if h.Config == (hedge.Config{}) {
		h.Config = hedge.Default()
	}
	decodeSwitch(d, node, path, &h.On, &h.Config)
}

// Breaker is the block of a layer that is off unless it is there.
type Breaker struct {
	On             bool
	breaker.Config `yaml:",inline"`
}

// DecodeYAML takes true, false or a block.
func (b *Breaker) DecodeYAML(d *strictyaml.Decoder, node *yaml.Node, path string) {
	if b.Config == (breaker.Config{}) {
		b.Config = breaker.Default()
	}
	decodeSwitch(d, node, path, &b.On, &b.Config)
}

// decodeSwitch decodes a union whose short form turns it on or off, and whose block turns it on.
func decodeSwitch(d *strictyaml.Decoder, node *yaml.Node, path string, on *bool, block any) {
	if node.Kind == yaml.MappingNode {
		*on = true
		d.Decode(node, path, block)
		return
	}
	d.DecodeTagged(node, path, on, "")
}
