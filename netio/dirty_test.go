package netio

import "testing"

// The memory is as long as it was asked for, and nobody else's.
func TestDirty(t *testing.T) {
	for _, size := range []int{1, 7, 2048, 65536, 100_001} {
		a, b := dirty(1, size), dirty(size, size)
		if len(a) != 1 || cap(a) != size || len(b) != size || cap(b) != size {
			t.Fatalf("%d bytes: %d of %d and %d of %d", size, len(a), cap(a), len(b), cap(b))
		}
		a = a[:size]
		for i := range a {
			a[i] = 1
		}
		for i := range b {
			b[i] = 2
		}
		for i := range a {
			if a[i] != 1 || b[i] != 2 {
				t.Fatalf("%d bytes: byte %d is %d and %d", size, i, a[i], b[i])
			}
		}
	}
}
