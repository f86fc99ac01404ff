package codec

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"

	"github.com/thriftloom/thriftloom/schema"
)

// scalar returns the value of a base type or enum for which a JSON token stands, nil if it stands for none.
func scalar(t *schema.Type, tok json.Token) schema.Value {
	switch x := tok.(type) {
	case bool:
		if t.Kind == schema.Bool {
			return x
		}
	case json.Number:
		return number(t, string(x))
	case string:
		return text(t, x)
	}
	return nil
}

// number converts without rounding integers: 1.0 and 1e3 are no integers, and a number beyond its type is none of that type.
func number(t *schema.Type, s string) schema.Value {
	if t.Kind == schema.Double {
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			return v
		}
		return nil
	}
	lo, hi, ok := intRange(t.Kind)
	if !ok {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || v < lo || v > hi:
		return nil
	case t.Kind == schema.Enum:
		return int32(v)
	}
	return v
}

func text(t *schema.Type, s string) schema.Value {
	switch t.Kind {
	case schema.String:
		return s
	case schema.Binary:
		if b, err := base64.StdEncoding.Strict().DecodeString(s); err == nil {
			return b
		}
	case schema.UUID:
		return uuid(s)
	case schema.Enum:
		if v, ok := t.Enum.ByName(s); ok {
			return v
		}
	case schema.Double:
		switch s {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
	}
	return nil
}

// uuid reads 8-4-4-4-12 hex digits in either case.
func uuid(s string) schema.Value {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return nil
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return nil
	}
	return [16]byte(b)
}
