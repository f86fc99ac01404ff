package compact

import (
	"strings"

	"github.com/thriftloom/thriftloom/wire"
)

// MaxApplicationText bounds the text of an exception that ParseApplication returns, in bytes: a peer's stack trace fits, a flood does not.
const MaxApplicationText = 16 << 10

// AppendApplication appends the struct of a TApplicationException. An empty message is left out, as ThriftPy does.
//
//	1: string message, 2: i32 type
func AppendApplication(dst []byte, typ int32, message string) []byte {
	last := int16(0)
	if message != "" {
		dst = AppendString(AppendField(dst, wire.String, 1, last), message)
		last = 1
	}
	return AppendStop(AppendI32(AppendField(dst, wire.I32, 2, last), typ))
}

// ParseApplication reads the struct of a TApplicationException, which must be all of body. Fields may come in any order; unknown ones, and
// those of another type, are skipped; one that is missing is zero. The message is valid UTF-8 of at most MaxApplicationText bytes: the rest
// is cut off.
func ParseApplication(body []byte, limits wire.Limits) (typ int32, message string, err error) {
	r := Reader{Buf: body}
	depth := limits.WithDefaults().Depth - 1
	for last := int16(0); ; {
		t, id, _, err := r.Field(last)
		switch {
		case err != nil:
			return 0, "", err
		case t == wire.Stop:
			if r.Left() > 0 {
				return 0, "", wire.Errorf(wire.Trailing, r.Pos, "%d bytes follow the exception", r.Left())
			}
			return typ, message, nil
		case t == wire.String && id == 1:
			var text []byte
			if text, err = r.Bytes(); err == nil {
				message = strings.ToValidUTF8(string(text[:min(len(text), MaxApplicationText)]), "")
			}
		case t == wire.I32 && id == 2:
			typ, err = r.I32()
		case t != wire.Bool:
			err = r.Skip(t, depth)
		}
		if err != nil {
			return 0, "", err
		}
		last = id
	}
}

// ResultField returns the first field of a result struct: id 0 is the method's value, any other a declared exception. ok is false for a
// struct without fields: void, or a value that the peer left out.
func ResultField(body []byte) (id int16, t wire.Type, ok bool) {
	r := Reader{Buf: body}
	t, id, _, err := r.Field(0)
	if err != nil || t == wire.Stop {
		return 0, wire.Stop, false
	}
	return id, t, true
}
