package transport

import "github.com/thriftloom/thriftloom/wire"

// Detector is a Splitter of what callers send: it finds out from the first bytes how the connection speaks, and holds it to that.
type Detector struct {
	limits wire.Limits
	allow  func(Wire) error
	wire   Wire
	split  Splitter // nil until wire is known
}

// NewDetector returns a detector for one connection. allow is asked once it is known how the connection speaks; its error refuses the
// connection (Unsupported, with its text). nil allows all that NewSplitter builds. A zero limit means its default.
func NewDetector(limits wire.Limits, allow func(Wire) error) *Detector {
	return &Detector{limits: limits.WithDefaults(), allow: allow}
}

// Resume returns a detector for a connection that is known to speak w and stands between two messages. The error is NewSplitter's.
func Resume(w Wire, limits wire.Limits) (*Detector, error) {
	split, err := NewSplitter(w, limits)
	if err != nil {
		return nil, err
	}
	d := &Detector{limits: limits.WithDefaults()}
	d.speak(w, split)
	return d, nil
}

// Wire returns how the connection speaks: zero until that is known, and for ever if it is refused.
func (d *Detector) Wire() Wire { return d.wire }

// Split is as in Splitter. What is wrong with the first bytes leaves nothing to go on with: Skip is 0.
func (d *Detector) Split(buf []byte) (m Message, used, need int, err error) {
	if d.split == nil {
		if need, err := d.detect(buf); need > 0 || err != nil {
			return m, 0, need, err
		}
	}
	return d.split.Split(buf)
}

// Peek is as in Shedder.
func (d *Detector) Peek(buf []byte) (m Message, ok bool) {
	if s, can := d.split.(Shedder); can {
		return s.Peek(buf)
	}
	return m, false
}

// Shed is as in Shedder. Where it is not known yet how the connection speaks, nothing can be given up: nothing is used.
func (d *Detector) Shed(buf []byte) (used int, done bool, err error) {
	if s, can := d.split.(Shedder); can {
		return s.Shed(buf)
	}
	return 0, false, nil
}

func (d *Detector) detect(buf []byte) (need int, err error) {
	w, _, need, reason := detect(buf, d.limits)
	if reason != nil {
		return 0, &Malformed{Err: reason}
	}
	if need > 0 {
		return need, nil
	}
	if d.allow != nil {
		if err := d.allow(w); err != nil {
			return 0, &Malformed{Err: wire.Errorf(wire.Unsupported, 0, "%v", err)}
		}
	}
	split, err := NewSplitter(w, d.limits)
	if err != nil {
		return 0, &Malformed{Err: wire.Errorf(wire.Unsupported, 0, "%v", err)}
	}
	d.speak(w, split)
	return 0, nil
}

// speak holds the connection to w.
func (d *Detector) speak(w Wire, split Splitter) {
	if s, ok := split.(*httpStream); ok {
		s.requests = true
	}
	d.wire, d.split = w, split
}
