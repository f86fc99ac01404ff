package memcached

import (
	"bufio"
	"bytes"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// Replies are read as they are written, in parts of any size.
func TestReadReply(t *testing.T) {
	tests := []struct {
		in   string
		want reply
	}{
		{"HD O7\r\n", reply{code: done}},
		{"HD O7 c123 s45 W\r\n", reply{code: done, cas: 123, size: 45, won: true}},
		{"HD c18446744073709551615 O7 Z X t-1 kfoo\r\n", reply{code: done, cas: 1<<64 - 1}},
		{"EN O7\r\n", reply{code: miss}},
		{"NF O7\r\n", reply{code: notFound}},
		{"NS O7 c0\r\n", reply{code: notStored}},
		{"EX O7\r\n", reply{code: exists}},
		{"MN\r\n", reply{code: noop}},
		{"VA 0 O7\r\n\r\n", reply{code: hasValue, value: []byte{}}},
		{"VA 5 O7 t30\r\na\r\n\x00b\r\n", reply{code: hasValue, value: []byte("a\r\n\x00b")}},
		{"SERVER_ERROR object too large for cache\r\n", reply{code: refused, text: tooLarge}},
		{"SERVER_ERROR\r\n", reply{code: refused}},
	}
	for _, tt := range tests {
		for _, r := range []*bufio.Reader{
			bufio.NewReaderSize(strings.NewReader(tt.in), readBuffer),
			bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(tt.in)), readBuffer),
		} {
			if got, err := readReply(r, 7); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%q: %+v, %v", tt.in, got, err)
			}
			if r.Buffered() > 0 {
				t.Errorf("%q: %d bytes are left", tt.in, r.Buffered())
			}
		}
		for cut := range tt.in {
			if got, err := readReply(bufio.NewReaderSize(strings.NewReader(tt.in[:cut]), readBuffer), 7); err == nil {
				t.Errorf("%q: %+v", tt.in[:cut], got)
			}
		}
	}
}

// Any bytes are read or refused, without a panic, and what is allocated is bounded by what has come; a value is what was written.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		"HD O7 c1 s2 W\r\n", "VA 3 O7\r\nabc\r\n", "VA 8388608 O7\r\nabc", "EN O7\r\n", "SERVER_ERROR x\r\n",
		"ERROR\r\n", "CLIENT_ERROR\r\n", "VA O7", "MN\r\n", "\n", "VA 1  O7\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), readBuffer)
		got, err := readReply(r, 7)
		if err != nil {
			return
		}
		if cap(got.value) > 2*len(in)+chunkBytes || len(got.value) > len(in) {
			t.Errorf("%d bytes of room for a value in %d bytes", cap(got.value), len(in))
		}
		if got.code == hasValue && !bytes.Contains(in, append(bytes.Clone(got.value), "\r\n"...)) {
			t.Error("a value that was not there")
		}
	})
}
