package jsontext

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendString appends s as a JSON string. With ascii all else is escaped, as Python writes it, and bytes that are not UTF-8 become U+FFFD;
// without it they are kept, as Apache's writers do.
func AppendString(dst []byte, s []byte, ascii bool) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		c, size := rune(s[0]), 1
		if ascii && c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(s)
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ':
			dst = appendControl(dst, byte(c))
		case c < utf8.RuneSelf || !ascii:
			dst = append(dst, byte(c))
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			dst = appendHex(appendHex(dst, high), low)
		default:
			dst = appendHex(dst, c)
		}
		s = s[size:]
	}
	return append(dst, '"')
}

func appendControl(dst []byte, c byte) []byte {
	if i := strings.IndexByte("\b\f\n\r\t", c); i >= 0 {
		return append(dst, '\\', "bfnrt"[i])
	}
	return appendHex(dst, rune(c))
}

func appendHex(dst []byte, c rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}

// AppendDouble appends the shortest text that reads as v, as Python writes it: 1.0, 1e+16, 1.5e-07, NaN, -Infinity.
func AppendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	for _, c := range dst[from:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}
