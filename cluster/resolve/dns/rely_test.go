package dns

import (
	"testing"
	"time"
)

// An answer is relied upon for its TTL, within the floor and the ceiling.
func TestRely(t *testing.T) {
	c := New(Config{Name: "users.internal", Port: 1}).config
	for ttl, want := range map[time.Duration]time.Duration{0: time.Second, 30 * time.Second: 30 * time.Second, 24 * time.Hour: 5 * time.Minute} {
		if got := c.rely(ttl); got != want {
			t.Errorf("a TTL of %v is relied upon for %v, want %v", ttl, got, want)
		}
	}
	if c = New(Config{MinTTL: time.Hour}).config; c.rely(0) != time.Hour {
		t.Errorf("a floor above the standard ceiling: %v", c.rely(0))
	}
}
