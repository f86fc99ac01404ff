// Package status is what a gateway shows of itself: plain structs that the admin API writes as JSON and the dashboard draws.
package status

import (
	"errors"
	"time"
)

// ErrUnknownService is the error for a service that the config does not have.
var ErrUnknownService = errors.New("unknown service")

// Snapshot is what GET /api/v1/snapshot answers and what the dashboard draws: the gateway at one moment. Counts run from the start of
// the process; times named _seconds are in seconds. It has no secret in it.
type Snapshot struct {
	Version       string     `json:"version"`
	Config        ConfigInfo `json:"config"`
	UptimeSeconds float64    `json:"uptime_seconds"`
	Draining      bool       `json:"draining"`
	Listeners     []Listener `json:"listeners"`
	Services      []Service  `json:"services"`
	Clusters      []Cluster  `json:"clusters"`
	Replicas      []Replica  `json:"replicas"`
	Gateways      *Gateways  `json:"gateways,omitempty"` // who lends each other slots; absent where nobody does
	Cache         *Cache     `json:"cache,omitempty"`    // absent where no method has one
	Totals        Totals     `json:"totals"`
	// Certificates are those that listeners and upstreams use.
	Certificates []Certificate `json:"certificates"`
}

// ConfigInfo says which configuration is in force.
type ConfigInfo struct {
	Path     string    `json:"path"`
	Hash     string    `json:"hash"`      // of the file and all that it includes
	LoadedAt time.Time `json:"loaded_at"` // when it took effect
	Stale    []string  `json:"stale"`     // services that kept their last good version, since what the file says now is broken
}

// Listener is an address on which calls come in.
type Listener struct {
	Address     string   `json:"address"`
	Services    []string `json:"services"`
	Connections int      `json:"connections"` // open now
}

// Service is one service, by its label in the file.
type Service struct {
	Name           string   `json:"name"`
	IDLService     string   `json:"idl_service"`       // its name in the IDL
	IDLFingerprint string   `json:"idl_fingerprint"`   // equal for equal interfaces
	Stack          []Layer  `json:"stack"`             // outermost first
	UnknownMethods string   `json:"unknown_methods"`   // forward or refuse
	Upstream       string   `json:"upstream"`          // the name of its cluster
	Methods        []Method `json:"methods"`           // _OTHER stands for those that the IDL does not have
	Breaker        *Breaker `json:"breaker,omitempty"` // absent where no method has one
}

// Breaker is what a service's breaker does.
type Breaker struct {
	Refused int64    `json:"refused"` // calls
	Open    []Broken `json:"open"`    // by method
}

// Broken is a method of which some callers' calls are refused, since they end their handlers wherever they are made.
type Broken struct {
	Method  string    `json:"method"`
	Callers int       `json:"callers"` // whose calls are refused
	Names   []string  `json:"names"`   // of these, ten at most: a caller's name, or its address where it has none
	Since   time.Time `json:"since"`   // when the first of them was refused
	Next    time.Time `json:"next"`    // when the next call of any of them is let through; in the past where nobody has called since
}

// Hedges are the second attempts of a method's calls.
type Hedges struct {
	DelaySeconds float64 `json:"delay_seconds"` // after which a call is late; zero: not known yet
	Sent         int64   `json:"sent"`          // that have ended
	Won          int64   `json:"won"`           // of these, whose reply came first
	OverBudget   int64   `json:"over_budget"`   // late calls that had none: the budget was used up
	Busy         int64   `json:"busy"`          // … or there was no slot to spare
}

// Layer is one behaviour around a service's calls.
type Layer struct {
	Name string `json:"name"`
	Why  string `json:"why"` // it stands where it stands
}

// Method is one method as callers see it. A declared exception is no error.
type Method struct {
	Name           string  `json:"name"`
	Calls          int64   `json:"calls"`
	Errors         int64   `json:"errors"`
	InFlight       int     `json:"in_flight"`
	P50Seconds     float64 `json:"p50_seconds"`
	P99Seconds     float64 `json:"p99_seconds"`
	TimeoutSeconds float64 `json:"timeout_seconds"`
	Idempotent     bool    `json:"idempotent"`
	Upstream       string  `json:"upstream"` // the name of its cluster
	Priority       string  `json:"priority"`
	MaxInFlight    int     `json:"max_in_flight"` // 0: there is no bound
	// Limits are the rules that its calls have to pass, for people to read.
	Limits []string `json:"limits"`
	// Allow is who may call; null is anyone, an empty list nobody.
	Allow []string `json:"allow"`

	Mirror *Mirror `json:"mirror,omitempty"`
	Canary *Canary `json:"canary,omitempty"`
	Faults *Faults `json:"faults,omitempty"` // they are on
	// Hedges is absent where the method's calls are not made twice.
	Hedges *Hedges `json:"hedges,omitempty"`
	Cache  *Cached `json:"cache,omitempty"` // absent where it has none
}

// Cluster is a named set of endpoints behind one queue.
type Cluster struct {
	Name       string `json:"name"`
	QueueCalls int    `json:"queue_calls"` // that wait for a slot now
	QueueMax   int    `json:"queue_max"`
	Refused    int64  `json:"refused"` // that found the queue full
	Leased     bool   `json:"leased"`  // its slots are shared with other gateways
	Viewed     bool   `json:"viewed"`  // its calls are told to other gateways
	// Overloaded says that more calls come than are answered, and that calls are refused for it.
	Overloaded bool `json:"overloaded"`
	// TargetSeconds is how long calls may wait before that is found: the queue's target, or more where calls take long.
	TargetSeconds float64    `json:"target_seconds"`
	Shed          []Shed     `json:"shed"` // by priority, the one that is refused last first
	Endpoints     []Endpoint `json:"endpoints"`
	Source        *Source    `json:"source,omitempty"` // absent where the config names the endpoints, or they are replicas
}

// Source is where the endpoints of a cluster are looked up.
type Source struct {
	Name      string    `json:"name"`       // dns users.internal:6000
	State     string    `json:"state"`      // waiting (no answer yet), good, stale (an answer before is in force) or empty (it names none)
	Since     time.Time `json:"since"`      // in this state
	UpdatedAt time.Time `json:"updated_at"` // when what is in force was last confirmed; zero: never
	Endpoints int       `json:"endpoints"`  // in force
	Problem   string    `json:"problem,omitempty"`
	Failures  int64     `json:"failures"` // how often it could not be asked, or was broken
}

// Shed is how many calls of a priority were refused for want of a slot.
type Shed struct {
	Priority string `json:"priority"`
	Full     int64  `json:"full"`   // the queue was full
	Crowd    int64  `json:"crowd"`  // while overloaded: as many waited as are answered in time
	Waited   int64  `json:"waited"` // while overloaded: it had waited for twice the target
	Late     int64  `json:"late"`   // it had waited until less time was left than a call of its method takes
}

// Endpoint is one address of a cluster. A slot is taken by a call in flight, or by a zombie: a call that has timed out and may still
// keep the peer busy.
type Endpoint struct {
	Name          string            `json:"name"`
	Address       string            `json:"address,omitempty"`
	Zone          string            `json:"zone,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	State         string            `json:"state"` // up, down (not reached), ejected (it fails more than the others), drained (weight: 0) or draining
	Slots         int               `json:"slots"`
	SlotsLearned  bool              `json:"slots_learned"` // slots is what was learned so far (slots: auto)
	LeasedSlots   int               `json:"leased_slots"`  // of slots, those that this gateway may use: all where no other shares them
	InFlight      int               `json:"in_flight"`
	Others        int               `json:"others"` // calls that other gateways have there, as far as they tell
	Zombies       int               `json:"zombies"`
	Connections   int               `json:"connections"`
	Calls         int64             `json:"calls"` // attempts
	Failures      int64             `json:"failures"`
	LastErrorCode string            `json:"last_error_code"` // of the last failure; "" where there was none
	P50Seconds    float64           `json:"p50_seconds"`     // of attempts that were answered, lately
	P99Seconds    float64           `json:"p99_seconds"`
	// For how long its connections are kept free, and kept at all, where its closes have taught less than its server kind says; else zero.
	LearnedIdleSeconds float64 `json:"learned_idle_seconds"`
	LearnedAgeSeconds  float64 `json:"learned_age_seconds"`
	// When its last health check ended, and the outcome class of that; absent where there was none.
	Checked time.Time `json:"checked,omitzero"`
	Check   string    `json:"check,omitempty"`
}

// Gateways is who lends each other slots.
type Gateways struct {
	Name    string           `json:"name"`    // of this gateway
	Arbiter string           `json:"arbiter"` // who says which slots a gateway may use
	Static  bool             `json:"static"`  // slots are not lent: a gateway is cut off, and each keeps to its share
	Members []Member         `json:"members"`
	Sent    int64            `json:"sent"`            // datagrams
	Taken   int64            `json:"taken"`           // that came and were fresh
	Dropped map[string]int64 `json:"dropped"`         // by reason: stranger, seal (another key), form, late
	Voids   *Voids           `json:"voids,omitempty"` // absent where no replies are kept
}

// Voids is what gateways tell each other of cached replies that are void.
type Voids struct {
	Told     int64            `json:"told"`     // replies and groups of them that this gateway has made void
	Heard    int64            `json:"heard"`    // … that others have
	Repeated int64            `json:"repeated"` // … that another had to be told again
	Silent   int              `json:"silent"`   // gateways that do not vouch for what is kept: it is dropped every second
	Dropped  map[string]int64 `json:"dropped"`  // times that all was, by reason: gap, silence, end
}

// Member is one gateway.
type Member struct {
	Name    string `json:"name"`           // "" where it was not heard yet
	Address string `json:"address"`        // where it is told of this one's use; "" for this one itself
	State   string `json:"state"`          // self, alive, gone (proven to have ended) or cut off
	Word    *Word  `json:"word,omitempty"` // what it has said of its calls; absent where it has not, or calls are not told
	// VouchedAgeSeconds is how long ago it was up to which all that it made void is known; absent where it has not said.
	VouchedAgeSeconds *float64 `json:"vouched_age_seconds,omitempty"`
}

// Word is what a gateway has said of its calls.
type Word struct {
	AgeSeconds float64 `json:"age_seconds"` // of its last message: who has no call says nothing
	Calls      int     `json:"calls"`       // in flight, by what it said and what is not too old
	Taken      int64   `json:"taken"`       // messages that told something new
}

// Replica is one process, container or pod that the gateway runs.
type Replica struct {
	Service    string    `json:"service"`
	Name       string    `json:"name"`
	PID        int       `json:"pid"` // zero: none runs
	State      string    `json:"state"`
	Restarts   int       `json:"restarts"`
	Since      time.Time `json:"since"`       // in this state
	LastExit   string    `json:"last_exit"`   // how the process before ended; "" where there was none
	LastOutput []string  `json:"last_output"` // its last lines, oldest first
}

// Certificate is what a file of certificates holds, as it is in force.
type Certificate struct {
	File     string    `json:"file"`
	CA       bool      `json:"ca"`    // they are those of authorities
	Names    []string  `json:"names"` // what it is for; of authorities their names
	NotAfter time.Time `json:"not_after"`
	Problem  string    `json:"problem,omitempty"` // why what the files hold now is not in force
	Read     time.Time `json:"read"`              // when what is in force was read
}

// Totals is all services together. Rate and quantiles are of the last seconds.
type Totals struct {
	Calls          int64   `json:"calls"`
	Errors         int64   `json:"errors"`
	InFlight       int     `json:"in_flight"`
	Queue          int     `json:"queue"`
	CallsPerSecond float64 `json:"calls_per_second"`
	P50Seconds     float64 `json:"p50_seconds"`
	P99Seconds     float64 `json:"p99_seconds"`
}
