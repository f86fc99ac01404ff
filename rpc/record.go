package rpc

import (
	"sync"
	"time"
)

// Attempt is one try of a call at one endpoint.
type Attempt struct {
	Cluster  string
	Endpoint string // its name
	Start    time.Time
	Waited   time.Duration // for a slot
	Took     time.Duration // from the slot to the outcome
	Reused   bool          // on a connection that had served a call before
	Hedge    bool          // beside another one that was late
	Outcome  Outcome
	Err      *Error // nil for Success and DeclaredException
}

// Record is what is known of one call. The observe layer makes it, adds what it sees and hands it, finished, to the sinks; the parts
// below hand their attempts up with Add. A finished record is not changed any more.
type Record struct {
	Call  *Call
	Took  time.Duration
	Reply *Reply // nil where Err is set, and for a oneway
	Err   *Error
	// Cache is how a cache answered the call, and CacheAge how long before that the reply had been loaded. The layer sets them before it returns.
	Cache    CacheResult
	CacheAge time.Duration

	mu       sync.Mutex
	attempts []Attempt
	first    [1]Attempt // what attempts begins with: most calls are tried once
	finished bool
	late     func(*Call, Attempt)
}

// Begin makes r, which is zero, the record of call. late, which may be nil, is handed attempts that end after the record is finished (a
// hedge that lost, a call that timed out).
func (r *Record) Begin(call *Call, late func(*Call, Attempt)) {
	r.Call, r.late, r.attempts = call, late, r.first[:0]
	call.Record = r
}

// Owns reports whether call is the record's own copy, which nobody else has yet: a layer may set what it would else set in a copy.
func (r *Record) Owns(call *Call) bool { return r != nil && r.Call == call }

// Add hands an attempt up. Safe for concurrent use and on a nil record.
func (r *Record) Add(a Attempt) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if !r.finished {
		r.attempts = append(r.attempts, a)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	if r.late != nil {
		r.late(r.Call, a)
	}
}

// Finish closes the record with what became of the call.
func (r *Record) Finish(took time.Duration, reply *Reply, err *Error) {
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
	r.Took, r.Reply, r.Err = took, reply, err
}

// Attempts returns the attempts in the order in which they ended. Call it on a finished record.
func (r *Record) Attempts() []Attempt { return r.attempts }

// Code returns the status that metrics and logs show: OK for a result and for a declared exception, else the error's code.
func (r *Record) Code() string {
	if r.Err != nil {
		return r.Err.Code.String()
	}
	return "OK"
}
