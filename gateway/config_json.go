package gateway

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/thriftloom/thriftloom/internal/strictyaml"
)

// appendJSON appends a value of the config as JSON: what an IDL is held against.
func appendJSON(dst []byte, d *strictyaml.Decoder, node *yaml.Node, path string) []byte {
	switch node.Kind {
	case yaml.AliasNode:
		return appendJSON(dst, d, node.Alias, path)
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			key := node.Content[i].Value
			dst = append(appendText(dst, key), ':')
			dst = appendJSON(dst, d, node.Content[i+1], path+"."+key)
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range node.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, d, item, fmt.Sprintf("%s[%d]", path, i))
		}
		return append(dst, ']')
	case yaml.ScalarNode:
		return appendScalar(dst, d, node, path)
	}
	return append(dst, "null"...)
}

// appendScalar appends a number, true, false or null as they are where JSON has them so, and a text else.
func appendScalar(dst []byte, d *strictyaml.Decoder, node *yaml.Node, path string) []byte {
	switch node.ShortTag() {
	case "!!null":
		return append(dst, "null"...)
	case "!!int", "!!float", "!!bool":
		if json.Valid([]byte(node.Value)) {
			return append(dst, node.Value...)
		}
		var v any // 0x10, .5
		if err := node.Decode(&v); err == nil {
			if text, err := json.Marshal(v); err == nil { // not .inf
				return append(dst, text...)
			}
		}
	}
	text, _ := d.Text(node, path)
	return appendText(dst, text)
}

func appendText(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // of a string never fails
	return append(dst, quoted...)
}
