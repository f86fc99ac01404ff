package main

import (
	"math"
	"testing"
	"time"
)

func ms(times ...int) (calls []call) {
	for _, t := range times {
		calls = append(calls, call{took: time.Duration(t) * time.Millisecond})
	}
	return calls
}

// A quantile is of the calls of all rounds, and a call that failed is as long as its caller is patient.
func TestQuantile(t *testing.T) {
	rounds := [][]call{ms(1, 2, 3, 4, 5), ms(6, 7, 8, 9, 10)}
	if got := quantile(rounds, 0.5); got != 6*time.Millisecond {
		t.Errorf("the median is %v", got)
	}
	rounds[0][0].failed = true
	if got := quantile(rounds, 0.999); got != patience {
		t.Errorf("with a failed call the greatest is %v", got)
	}
}

// A ratio lies in its interval, which is a point where all rounds are alike, and is not where they differ.
func TestRatio(t *testing.T) {
	one, two := ms(10, 10, 10), ms(20, 20, 20)
	if low, mid, high := ratio([][]call{two, two}, [][]call{one, one}, 0.99); low != 2 || mid != 2 || high != 2 {
		t.Errorf("of rounds that are alike: %v, %v to %v", mid, low, high)
	}
	low, mid, high := ratio([][]call{two, one}, [][]call{one, one}, 0.99)
	if math.IsNaN(mid) || low != 1 || high != 2 || mid < low || mid > high {
		t.Errorf("of rounds that differ: %v, %v to %v", mid, low, high)
	}
}
