package codec

import "cmp"

// segment is where something stands in a form that is being written: a field, an element or an entry.
type segment struct {
	key      int32 // of a field its place; of an entry where its key ends
	from, to int32
}

// segmentStack is segments of which the last n count. Few of them need no memory of their own: it has to stand where nothing points at it,
// or the array could not stay on the goroutine's stack.
type segmentStack struct {
	n    int
	room [24]segment
	more []segment // all of them, from when room was full
}

func (s *segmentStack) push(x segment) {
	if s.more == nil {
		if s.n < len(s.room) {
			s.room[s.n] = x
			s.n++
			return
		}
		s.more = append(make([]segment, 0, 4*len(s.room)), s.room[:]...)
	}
	s.more = append(s.more[:s.n], x)
	s.n++
}

// since returns the segments but for the first base. They are valid until the next push.
func (s *segmentStack) since(base int) []segment {
	if s.more == nil {
		return s.room[base:s.n]
	}
	return s.more[base:s.n]
}

// ascend reports whether each segment comes before the next.
func ascend(segments []segment, compare func(a, b segment) int) bool {
	for i := 1; i < len(segments); i++ {
		if compare(segments[i-1], segments[i]) >= 0 {
			return false
		}
	}
	return true
}

func byPlace(a, b segment) int { return cmp.Compare(a.key, b.key) }
