package figures

import (
	"testing"
	"time"
)

// Numbers are short.
func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		Count(0): "0", Count(999): "999", Count(1000): "1,000", Count(-123456): "-123,456", Count(1234567): "1,234,567",
		Short(0): "0s", Short(1234567): "1.23ms", Short(999 * time.Nanosecond): "999ns", Short(83 * time.Second): "1m23s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
