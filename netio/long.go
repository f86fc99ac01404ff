package netio

import (
	"runtime"
	"sync"
	"weak"
)

// garbage bounds the bytes of long chunks that nobody uses any more and that are not collected yet, beyond what else the budget allows.
const garbage = 8 << 20

// longChunks makes the chunks of more than maxChunkBytes, which are few and large, and knows which of them are not collected yet. It holds
// back whoever asks for more than the process may have: the runtime alone lets memory grow where it is short of time. The zero value is
// ready. Safe for concurrent use.
type longChunks struct {
	mu    sync.Mutex // held while a chunk is made, and while one who waits for memory collects it
	made  []longChunk
	bytes int64 // of made
	kept  int64 // what the last collection had to leave, where that is more than the budget: those who keep bytes are not counted
}

// longChunk is a chunk that may be collected, known by its first byte.
type longChunk struct {
	first weak.Pointer[byte]
	size  int64
}

// make makes a chunk of size bytes, n of which are used. Where it would be too much, with those made before, for a budget of most bytes it
// collects first.
func (l *longChunks) make(n, size int, most int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fits(size, most) {
		l.collect(size, most)
	}
	chunk := dirty(n, size)
	l.made = append(l.made, longChunk{weak.Make(&chunk[:1][0]), int64(size)})
	l.bytes += int64(size)
	return chunk
}

func (l *longChunks) fits(size int, most int64) bool {
	return l.bytes+int64(size) <= max(most, l.kept)+garbage
}

// collect makes room for a chunk of size bytes, as far as there is garbage.
func (l *longChunks) collect(size int, most int64) {
	l.forget()
	l.kept = 0
	for range 2 { // what is let go of while the first runs may be left to the second
		if l.fits(size, most) {
			return
		}
		runtime.GC()
		l.forget()
	}
	if !l.fits(size, most) {
		l.kept = l.bytes // do not look for it again before there can be as much garbage as this allows
	}
}

// forget drops the chunks that are collected.
func (l *longChunks) forget() {
	left := l.made[:0]
	l.bytes = 0
	for _, c := range l.made {
		if c.first.Value() != nil {
			left = append(left, c)
			l.bytes += c.size
		}
	}
	l.made = left
}
