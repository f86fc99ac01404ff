package netio

import (
	"strings"
	"unsafe"
)

// dirty is make([]byte, n, size) for a size above zero, without the zeros: what it returns may hold anything. Chunks are written before they
// are read, and to clear those of long messages was a fifth of what it costs to forward one. Of the standard library only strings.Builder
// has memory that is not cleared; the string is gone when this returns.
func dirty(n, size int) []byte {
	var b strings.Builder
	b.Grow(size)
	_ = b.WriteByte(0) // so that there is a string
	return unsafe.Slice(unsafe.StringData(b.String()), size)[:n]
}
