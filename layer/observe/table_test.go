package observe

import (
	"sync"
	"testing"
)

// A value is made once, however many ask for it at one time, and the table keeps what it had.
func TestTable(t *testing.T) {
	var table table[int, *int]
	var made [100]int
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for k := range 100 {
				if v := table.get(k, func() *int { made[k]++; return &k }); *v != k {
					t.Errorf("%d for %d", *v, k)
				}
			}
		})
	}
	all.Wait()
	for k, n := range made {
		if n != 1 {
			t.Errorf("%d was made %d times", k, n)
		}
	}
	if len(table.all()) != 100 {
		t.Errorf("%d values, want 100", len(table.all()))
	}
}
