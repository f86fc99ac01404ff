// Package figures writes numbers as reports and frames show them.
package figures

import (
	"fmt"
	"time"
)

// Count returns n with its thousands apart: 12,000.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Short returns d with three significant digits: 1.23ms.
func Short(d time.Duration) string {
	step := time.Duration(1)
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step).String()
}
