package codec

// segment is where something stands in a form that is being written: a field, an element or an entry.
type segment struct {
	key      int32 // of a field its place; of an entry where its key ends
	from, to int32
}

// segmentRoom is how many segments a form can have at once without an allocation: the fields, elements and entries so far of all the structs,
// sets and maps that are being written.
const segmentRoom = 64

// segmentStack is segments, of which the first n count. No pointer into it is kept, not even its own, so that it can stay on the goroutine's
// stack.
type segmentStack struct {
	n    int
	room [segmentRoom]segment
	more []segment // all of them, from when room was full
}

func (s *segmentStack) push(x segment) {
	if s.more == nil {
		if s.n < len(s.room) {
			s.room[s.n] = x
			s.n++
			return
		}
		s.more = append(make([]segment, 0, 2*len(s.room)), s.room[:]...)
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

func byPlace(a, b segment) int { return int(a.key) - int(b.key) }

// byPlaceAndTime has the later of two that stand at one place behind the other.
func byPlaceAndTime(a, b segment) int {
	if a.key != b.key {
		return byPlace(a, b)
	}
	return int(a.from) - int(b.from)
}
