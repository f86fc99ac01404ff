package balance

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

const (
	maxSuspects = 64               // callers with a method; the oldest makes room
	suspectFor  = 10 * time.Second // after its last failure
)

// suspects are callers' methods that fail. Who fails at one endpoint, and then at another, without an answer between, fails because of what is
// called: that says nothing of the endpoints. The zero value suspects nobody.
type suspects struct{ all []suspect }

type suspect struct {
	who  uint64
	node *Node // where it failed last; nil: at several, whichever comes next
	at   time.Duration
}

var seed = maphash.MakeSeed()

// who is the caller and the method of a call.
func who(call *rpc.Call) uint64 {
	return maphash.String(seed, call.Name) ^ 31*maphash.String(seed, call.Caller.Share())
}

// failed notes a failure at n, and reports whether n is to be blamed for it.
func (s *suspects) failed(call *rpc.Call, n *Node, now time.Duration) (blamed bool) {
	if call == nil {
		return true
	}
	id := who(call)
	i := slices.IndexFunc(s.all, func(x suspect) bool { return x.who == id })
	if i < 0 {
		if len(s.all) == maxSuspects {
			s.all = slices.Delete(s.all, 0, 1)
		}
		s.all = append(s.all, suspect{id, n, now})
		return true
	}
	x := s.all[i]
	blamed = x.node == n || now-x.at > suspectFor
	next := suspect{id, n, now}
	if !blamed {
		next.node = nil // to come back to the same one by chance says nothing either
	}
	s.all = append(slices.Delete(s.all, i, i+1), next)
	return blamed
}

// failedAt returns where the last call of the caller and method has failed, and none has been answered since; nil where there is no such node, or
// there are several.
func (s *suspects) failedAt(call *rpc.Call) *Node {
	if len(s.all) == 0 {
		return nil
	}
	id := who(call)
	if i := slices.IndexFunc(s.all, func(x suspect) bool { return x.who == id }); i >= 0 {
		return s.all[i].node
	}
	return nil
}

// answered clears who has had an answer.
func (s *suspects) answered(call *rpc.Call) {
	if len(s.all) == 0 || call == nil {
		return
	}
	id := who(call)
	s.all = slices.DeleteFunc(s.all, func(x suspect) bool { return x.who == id })
}
