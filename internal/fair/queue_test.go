package fair

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// turn serves all that waits, and returns it in that order.
func turn(q *Queue[string], newest bool) (order []string) {
	for i := q.Front(); i != nil; i = q.Front() {
		if newest {
			i = i.Newest()
		}
		order = append(order, i.Value)
		q.Take(i)
	}
	return order
}

// Callers take turns, a higher class goes first, and of one caller the oldest goes first, or the newest.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		newest bool
		want   string
	}{
		{false, "[vip a1 b1 c1 a2 b2 a3 low]"},
		{true, "[vip a3 b2 c1 a2 b1 a1 low]"},
	} {
		var q Queue[string]
		q.Add("low", 0, "a")
		for _, v := range []string{"a1", "a2", "a3", "b1", "b2", "c1"} {
			q.Add(v, 2, v[:1])
		}
		q.Add("vip", 3, "d")
		if got := fmt.Sprint(turn(&q, tt.newest)); got != tt.want {
			t.Errorf("newest %v: %s, want %s", tt.newest, got, tt.want)
		}
	}
}

// Who gives way: the noisiest of the lowest class below; in the own class only one that has more than the newcomer would have.
func TestVictim(t *testing.T) {
	var q Queue[string]
	for _, v := range []string{"a1", "a2", "a3", "b1", "b2"} {
		q.Add(v, 2, v[:1])
	}
	q.Add("x1", 1, "x")
	for _, tt := range []struct {
		class int
		name  string
		want  string
	}{
		{0, "z", ""}, {1, "z", ""}, {1, "x", ""}, {2, "a", "x1"}, {3, "z", "x1"},
	} {
		got := ""
		if i := q.Victim(tt.class, tt.name); i != nil {
			got = i.Value
		}
		if got != tt.want {
			t.Errorf("for %s of class %d: %q gives way, want %q", tt.name, tt.class, got, tt.want)
		}
	}
	q.Remove(q.Victim(2, "a")) // nothing is below any more
	for name, want := range map[string]string{"z": "a3", "b": "", "a": ""} {
		got := ""
		if i := q.Victim(2, name); i != nil {
			got = i.Value
		}
		if got != want {
			t.Errorf("for %s: %q gives way, want %q", name, got, want)
		}
	}
}

// Whatever comes and goes, and moves to another lane: none is lost or served twice, a class is served only when none above it waits, of a caller
// the order is kept, and, whatever the lanes, between two turns of a caller that has some waiting no other has more than two.
func TestQueueAtRandom(t *testing.T) {
	type entry struct {
		class, caller, number int
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var q Queue[entry]
		var waiting []*Item[entry]
		passed := map[[2]int]map[int]int{} // of each class and caller that waits: turns of others since its own
		check := func(text string, args ...any) { t.Fatalf("seed %d: "+text, append([]any{seed}, args...)...) }
		lane := func(n int) string { return []string{"", "x", "y"}[n%3] }
		for n := range 3000 {
			switch random.IntN(6) {
			case 5:
				if len(waiting) > 0 {
					q.Move(waiting[random.IntN(len(waiting))], lane(random.IntN(3)))
				}
			case 0, 1:
				e := entry{random.IntN(Classes), random.IntN(4), n}
				waiting = append(waiting, q.AddIn(lane(n), e, e.class, fmt.Sprint(e.caller)))
			case 2:
				if len(waiting) > 0 {
					i := random.IntN(len(waiting))
					if !q.Remove(waiting[i]) || q.Remove(waiting[i]) {
						check("an item is not removed once")
					}
					delete(passed, [2]int{waiting[i].Value.class, waiting[i].Value.caller}) // it may have lost its place
					waiting = slices.Delete(waiting, i, i+1)
				}
			default:
				i := q.Front()
				if i == nil {
					break
				}
				e := i.Value
				for _, w := range waiting {
					if w.Value.class > e.class {
						check("class %d is served, and %d waits", e.class, w.Value.class)
					}
					if w.Value.class == e.class && w.Value.caller == e.caller && w.Value.number < e.number {
						check("of one caller %d is served before %d", e.number, w.Value.number)
					}
				}
				for _, name := range []string{"", "x", "y"} {
					var oldest *Item[entry]
					in := 0
					for _, w := range waiting {
						if w.Lane() == name {
							if in++; oldest == nil {
								oldest = w
							}
						}
					}
					if q.Oldest(name) != oldest || q.In(name) != in {
						check("in lane %q the oldest of %d is %v, not %v of %d", name, q.In(name), q.Oldest(name), oldest, in)
					}
				}
				q.Take(i)
				waiting = slices.Delete(waiting, slices.Index(waiting, i), slices.Index(waiting, i)+1)
				delete(passed, [2]int{e.class, e.caller})
				for _, w := range waiting {
					if k := [2]int{w.Value.class, w.Value.caller}; w.Value.class == e.class && w.Value.caller != e.caller {
						if passed[k] == nil {
							passed[k] = map[int]int{}
						}
					}
				}
				for k, by := range passed {
					if k[0] == e.class {
						if by[e.caller]++; by[e.caller] > 2 {
							check("caller %d has had %d turns while caller %d waited", e.caller, by[e.caller], k[1])
						}
					}
				}
			}
			if q.Len() != len(waiting) {
				check("%d wait, want %d", q.Len(), len(waiting))
			}
		}
	}
}

// What waits in a lane that is passed by holds nothing else up, not even of its own caller or of a lower class, and is first again after Reset.
func TestLanes(t *testing.T) {
	var q Queue[string]
	for _, v := range []string{"a1", "a2", "b1"} {
		q.AddIn("big", v, 2, v[:1])
	}
	for _, v := range []string{"a3", "b2", "c1"} {
		q.Add(v, 2, v[:1])
	}
	q.AddIn("big", "vip", 3, "d")
	q.AddIn("other", "low", 1, "d")
	q.Pass(q.Front())
	if got := fmt.Sprint(turn(&q, false)); got != "[a3 b2 c1 low]" {
		t.Errorf("big is passed by: %s", got)
	}
	q.Reset()
	if got := fmt.Sprint(turn(&q, false)); got != "[vip a1 b1 a2]" {
		t.Errorf("then: %s", got)
	}
}

// A caller has its turn in one lane after it has had one in another: with many lanes it gets no more of what lanes share.
func TestTurnsInLanes(t *testing.T) {
	var q Queue[string]
	for n, v := range []string{"a1", "a2", "a3", "b1", "b2", "b3"} {
		lane := ""
		if v[0] == 'a' {
			lane = fmt.Sprint(n)
		}
		q.AddIn(lane, v, 2, v[:1])
	}
	if got := fmt.Sprint(turn(&q, false)); got != "[a1 b1 a2 b2 a3 b3]" {
		t.Error(got)
	}
}

// One that moves stands in its new lane by when it came, and its caller keeps its turn.
func TestMove(t *testing.T) {
	var q Queue[string]
	first := q.Add("a1", 2, "a")
	for _, v := range []string{"a2", "b1", "a3"} {
		q.AddIn("big", v, 2, v[:1])
	}
	q.Move(first, "big")
	if first.Lane() != "big" || q.In("") != 0 || q.Oldest("big") != first {
		t.Errorf("it waits in %q, where the oldest is %v", first.Lane(), q.Oldest("big"))
	}
	if got := fmt.Sprint(turn(&q, false)); got != "[a1 b1 a2 a3]" {
		t.Error(got)
	}
	only := q.Add("c1", 2, "c")
	q.Add("d1", 2, "d")
	q.Move(only, "big")
	if got := fmt.Sprint(turn(&q, false)); got != "[c1 d1]" {
		t.Errorf("its caller's only one: %s", got)
	}
}

// The last of who has most waiting gives way, whatever lanes it waits in.
func TestVictimInLanes(t *testing.T) {
	var q Queue[string]
	for _, v := range []string{"a1", "b1", "a2", "b2", "a3"} {
		q.AddIn(v, v, 2, v[:1])
	}
	if i := q.Victim(2, "z"); i == nil || i.Value != "a3" {
		t.Errorf("%v gives way", i)
	}
	if i := q.VictimIn("b2", 2, "z"); i != nil {
		t.Errorf("in a lane with one of each caller %v gives way", i)
	}
	q.AddIn("b2", "b3", 2, "b")
	for name, want := range map[string]string{"z": "b3", "b": ""} {
		got := ""
		if i := q.VictimIn("b2", 2, name); i != nil {
			got = i.Value
		}
		if got != want {
			t.Errorf("for %s: %q gives way, want %q", name, got, want)
		}
	}
	if i := q.VictimIn("a1", 3, "z"); i == nil || i.Value != "a1" {
		t.Errorf("for a higher class %v gives way", i)
	}
}
