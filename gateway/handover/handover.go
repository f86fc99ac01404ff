// Package handover is how one process of the gateway takes the place of another on the same host: sockets, connections between two
// calls, and running replicas go over a unix socket in the state folder, the Door.
//
// The one that serves is the Giver, the one that was started anew the Taker:
//
//	taker → giver   hello        who I am, and what I speak
//	giver → taker   welcome      or refused, with a text
//	giver → taker   item …       the lock, the door, each listener, each replica, with their descriptors
//	giver → taker   offered      that was all
//	                             the taker starts; until it serves, the giver is as it was
//	taker → giver   serving      which of the items it took
//	giver → taker   connection … each one between two calls; the taker answers each with taken
//	giver → taker   end          nothing is left: the taker owns what it took
//
// Where the taker ends before `end`, the giver keeps what it has not given and serves on. Where the giver has to drain, it says `end` early.
// Where it ends, the taker has what it was offered. Each side checks that the other has its user
// id. Every length, count and wait is bounded. Linux only; elsewhere there is no door.
package handover

import (
	"errors"
	"io"
	"syscall"
	"time"
)

// Version is what this program speaks. Another version is refused: the taker then says so and ends, and nothing has changed. The layout
// of a frame, and hello, welcome and refused, are the same in all versions.
const Version = 1

// The bounds of a handover.
const (
	stepTime = 15 * time.Second // for a peer to read or to write one message
	// StartTime is how long the giver waits for the taker to serve, in which that starts its replicas: more than the longest start_timeout.
	// It serves all the while.
	StartTime = 15 * time.Minute
	turnTime  = time.Minute     // for the taker to be let in, where another one is before it
	longest   = 2 * time.Hour   // that the giver may take between two connections: above the highest drain.timeout
	maxMeta   = 64 << 10        // bytes of a message's JSON
	maxData   = 1<<30 + 64<<10  // bytes that came on a connection: the highest max_message_bytes, and what frames it
	maxItems  = 8192            // of an offer
	maxFiles  = 2               // descriptors of one message
	endWait   = 5 * time.Second // for a process that has closed its end to be gone
)

// What callers test.
var (
	// ErrNobody says that no process gives anything here: none runs, or it does not know of handovers.
	ErrNobody = errors.New("no gateway answers here")
	// ErrHeld says that another process holds the lock.
	ErrHeld = errors.New("another process holds the state folder")
	// ErrUnsupported is what Open and Lock return where this is not built for the system.
	ErrUnsupported = errors.New("handovers are built for Linux only")
)

// RefusedError is why a giver refuses.
type RefusedError struct{ Text string }

// Error returns the giver's text.
func (e *RefusedError) Error() string { return e.Text }

// Peer is what each side says of itself.
type Peer struct {
	Version int    `json:"version"`
	Program string `json:"program"`          // the program's version, for people
	PID     int    `json:"pid"`              // as the process sees itself
	Looks   bool   `json:"looks,omitempty"`  // it wants to know who serves, and takes nothing
	Config  string `json:"config,omitempty"` // path of the config, where only a gateway with the same one is meant; giver: its own
}

// File is a descriptor on its way. What was received is the receiver's to close.
type File interface {
	syscall.Conn
	io.Closer
}

// Offer is what a giver has.
type Offer struct {
	Lock      File // of the state folder
	Door      File // where the next taker knocks
	Listeners []Listener
	Replicas  []Replica
	Up        []string // services that have an endpoint which answers: the taker does not serve before it can say the same
}

// Listener is a socket that listens.
type Listener struct {
	ID     string `json:"id"`             // what the config knows it by
	Keep   bool   `json:"keep,omitempty"` // its file is the service manager's
	Socket File   `json:"-"`
}

// Replica is a process that outlives the gateway that started it.
type Replica struct {
	Set      string    `json:"set"`    // name of its upstream
	Config   string    `json:"config"` // hash of what it was started with: another one does not fit
	Folder   string    `json:"folder"` // temporary folder of its set's sockets, "" for none
	Number   int       `json:"number"`
	PID      int       `json:"pid"`
	Started  uint64    `json:"started"` // of its process, in clock ticks since the system's start: tells it from a later one with its id
	Address  string    `json:"address"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"` // ready
	Output   File      `json:"-"`     // read end of what it writes
	Leash    File      `json:"-"`     // it is killed when nobody holds this any more
}

// Taken is what a taker took of an offer.
type Taken struct {
	Listeners []string `json:"listeners"` // ids
	Replicas  []int    `json:"replicas"`  // process ids
}

// Connection is a caller's connection between two calls.
type Connection struct {
	Listener  string `json:"listener"`            // id
	Transport uint8  `json:"transport"`           // transport.Kind; zero: no message has told yet
	Protocol  uint8  `json:"protocol"`            // wire.Protocol
	Unordered bool   `json:"unordered,omitempty"` // its caller was granted replies as they are ready; a taker that does not know it answers in order
	Tracking  int    `json:"tracking,omitempty"`  // the level of ThriftPy's tracking that its caller takes
	App       string `json:"app,omitempty"`       // what that caller calls itself
	Rest      []byte `json:"-"`                   // came and was not taken
	Socket    File   `json:"-"`
}

// kind tells messages apart.
type kind byte

const (
	hello kind = iota + 1
	welcome
	refused
	lockItem
	doorItem
	listenerItem
	replicaItem
	offered
	serving
	connection
	taken
	end
)

func (k kind) String() string {
	names := [...]string{
		hello: "hello", welcome: "welcome", refused: "refused", lockItem: "lock", doorItem: "door", listenerItem: "listener",
		replicaItem: "replica", offered: "offered", serving: "serving", connection: "connection", taken: "taken", end: "end",
	}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return "an unknown message"
}
