package lease

import (
	"fmt"
	"testing"
	"time"
)

// member is a claim of a member that is at work at busy slots of each endpoint, of limit that it has.
func memberOf(rank, waiting int, busy, limit []int, down ...int) *claim {
	c := &claim{rank: rank, waiting: waiting, busy: busy, limit: limit, has: make([]bool, len(busy)), down: make([]bool, len(busy))}
	for k := range busy {
		c.has[k] = true
	}
	for _, k := range down {
		c.down[k] = true
	}
	return c
}

// What is split, and what is moved for it.
func TestAllot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		slots  []int
		claims []*claim
		level  bool
		want   string
	}{
		{"nobody wants: nothing moves", []int{4}, []*claim{memberOf(0, 0, []int{0}, []int{4}), memberOf(1, 0, []int{0}, []int{0})}, false, "[[4] [0]]"},
		{"nobody wants: an idle one for each", []int{4}, []*claim{memberOf(0, 0, []int{0}, []int{4}), memberOf(1, 0, []int{0}, []int{0})}, true, "[[3] [1]]"},
		{"what nobody has is spread", []int{5}, []*claim{memberOf(0, 0, []int{0}, []int{0}), memberOf(1, 0, []int{0}, []int{0})}, true, "[[3] [2]]"},
		{"one wants what the other does not need", []int{4}, []*claim{memberOf(0, 0, []int{1}, []int{4}), memberOf(1, 9, []int{0}, []int{0})}, false, "[[1] [3]]"},
		{"both want all: even parts", []int{4}, []*claim{memberOf(0, 9, []int{4}, []int{4}), memberOf(1, 9, []int{0}, []int{0})}, false, "[[2] [2]]"},
		{"who wants little gets it", []int{4}, []*claim{memberOf(0, 9, []int{4}, []int{4}), memberOf(1, 1, []int{0}, []int{0})}, false, "[[3] [1]]"},
		{"the odd one by rank", []int{3}, []*claim{memberOf(1, 9, []int{2}, []int{2}), memberOf(0, 9, []int{1}, []int{1})}, false, "[[1] [2]]"},
		{"one slot, two ranks", []int{1}, []*claim{memberOf(1, 9, []int{1}, []int{1}), memberOf(0, 9, []int{0}, []int{0})}, false, "[[0] [1]]"},
		{"any endpoint will do", []int{1, 1}, []*claim{memberOf(0, 9, []int{1, 1}, []int{1, 1}), memberOf(1, 9, []int{0, 0}, []int{0, 0})}, false, "[[0 1] [1 0]]"},
		{"the idle one is taken", []int{1, 1}, []*claim{memberOf(0, 0, []int{1, 0}, []int{1, 1}), memberOf(1, 1, []int{0, 0}, []int{0, 0})}, false, "[[1 0] [0 1]]"},
		{"not one that is down for who wants", []int{1, 1}, []*claim{memberOf(0, 9, []int{1, 1}, []int{1, 1}), memberOf(1, 9, []int{0, 0}, []int{0, 0}, 0)}, false, "[[1 0] [0 1]]"},
		{"one that is down for all is no slot", []int{1, 2}, []*claim{memberOf(0, 9, []int{0, 2}, []int{1, 2}, 0), memberOf(1, 9, []int{0, 0}, []int{0, 0}, 0)}, false, "[[1 1] [0 1]]"},
		{"one that is down is no part of who has it", []int{2, 2}, []*claim{memberOf(0, 9, []int{0, 2}, []int{2, 2}, 0), memberOf(1, 9, []int{0, 0}, []int{0, 0})}, false, "[[0 2] [2 0]]"},
		{"a call where its slot is to go asks for no other", []int{2, 2}, []*claim{memberOf(0, 0, []int{1, 1}, []int{0, 2}), memberOf(1, 9, []int{0, 0}, []int{2, 0})}, false, "[[0 1] [2 1]]"},
		{"fewer slots than before", []int{2}, []*claim{memberOf(0, 0, []int{3}, []int{3}), memberOf(1, 0, []int{1}, []int{1})}, false, "[[1] [1]]"},
	} {
		if got := fmt.Sprint(allot(tt.slots, tt.claims, tt.level)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What is decided from numbers that a message may hold at most is decided in a moment: not slot by slot.
func TestAllotOfManySlots(t *testing.T) {
	const endpoints = 100
	slots := make([]int, endpoints)
	for k := range slots {
		slots[k] = maxCount
	}
	claims := []*claim{memberOf(0, maxCount, make([]int, endpoints), make([]int, endpoints)), memberOf(1, maxCount, make([]int, endpoints), make([]int, endpoints))}
	start := time.Now()
	limits := allot(slots, claims, true)
	took := time.Since(start)
	if a := claims[0].given(limits[0]); a < maxCount {
		t.Errorf("%d slots of what is there in plenty", a)
	}
	if took > 20*time.Second { // slot by slot it would be hours
		t.Errorf("it took %v", took)
	}
}
