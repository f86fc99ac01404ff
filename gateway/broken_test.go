package gateway

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/layer/breaker"
)

// However many callers a breaker refuses, the snapshot has a row for each method: how many they are, ten of their names, since when the first is
// refused, and when the next call is let through.
func TestBrokenByMethod(t *testing.T) {
	if got := byMethod(nil); got == nil || len(got) != 0 {
		t.Errorf("with none open there is %v, want an empty list", got)
	}
	at := time.Unix(1000, 0)
	var open []breaker.Open
	for i := range 1000 {
		open = append(open, breaker.Open{Method: "getUser", Caller: fmt.Sprintf("web-%03d", i), Since: at.Add(-time.Duration(i) * time.Second), Next: at.Add(time.Duration(1000-i) * time.Second)})
	}
	rows := byMethod(append(open, breaker.Open{Method: "report", Caller: "batch", Since: at, Next: at}))
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	if r := rows[0]; r.Method != "getUser" || r.Callers != 1000 || len(r.Names) != 10 || r.Names[9] != "web-009" ||
		!r.Since.Equal(at.Add(-999*time.Second)) || !r.Next.Equal(at.Add(time.Second)) {
		t.Errorf("getUser is %+v", r)
	}
	if r := rows[1]; r.Method != "report" || r.Callers != 1 || !slices.Equal(r.Names, []string{"batch"}) || !r.Since.Equal(at) || !r.Next.Equal(at) {
		t.Errorf("report is %+v", r)
	}
}
