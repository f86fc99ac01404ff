package order

import "testing"

// The order is about as long as its name says, on the wire.
func TestArguments(t *testing.T) {
	b, err := Arguments()
	if err != nil || len(b) < 9_000 || len(b) > 11_000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
