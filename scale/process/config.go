// Package process keeps a number of replicas of a command running as child processes of this one.
//
// Each replica is a process group of its own with its own unix socket or loopback port. A replica becomes an endpoint when it has
// answered a call, stops being one the moment it ends, and is started again with back-off. Stopping is SIGTERM, then SIGKILL, to the
// whole group; no process is left behind. Unix only: elsewhere New says so.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// MaxReplicas bounds the replicas of one set: one host's processes, not a fleet's.
const MaxReplicas = 1000

// What Config and Options leave out.
const (
	DefaultStopTimeout  = 10 * time.Second
	DefaultStartTimeout = 30 * time.Second
	DefaultDrainTimeout = time.Minute
)

// Config is the run block.
type Config struct {
	// Command is the program and its arguments. In an argument, and in a value of Env, "{socket}" becomes the path of a unix socket and
	// "{port}" a free loopback port: the replica serves there, so one of the two has to stand somewhere, and not both. "{replica}"
	// becomes the replica's number, from 1.
	Command []string `yaml:"command"`
	// Replicas is how many run. Zero: none, by choice. At most MaxReplicas.
	Replicas int `yaml:"replicas"`
	// Dir is the folder that the command runs in. Default: that of this process.
	Dir string `yaml:"dir"`
	// Env is set in addition to, and instead of, what this process has.
	Env map[string]string `yaml:"env"`
	// User is the user to run as, by name or number. Default: that of this process; another one takes root.
	User string `yaml:"user"`
	// Adopt keeps the replicas running while another process of the gateway takes this one's place: Offer, Give and Own. Without it
	// replicas end with the process that started them. Either way none is left where the last gateway ends or is killed. Linux only.
	Adopt bool `yaml:"adopt"`
	// StopTimeout is how long a replica may take to end after SIGTERM before SIGKILL. Zero: 10s; below zero: SIGKILL at once.
	StopTimeout time.Duration `yaml:"stop_timeout"`
	// StartTimeout is how long a replica may take until it answers; past it, it is stopped and started anew. Zero: 30s.
	StartTimeout time.Duration `yaml:"start_timeout"`
}

// Options is what a set needs of the program around it.
type Options struct {
	// Name is the service's; replicas are NAME-1, NAME-2, …
	Name string
	// State is the folder for sockets (run/NAME-1.sock) and logs (log/NAME-1.log, 10 MiB and one older file NAME-1.log.1). Sockets whose
	// path would be too long, or whose replicas run as another user, are in a temporary folder.
	State string
	// Probe returns nil if a replica answers a call at address ("unix:/path" or "127.0.0.1:port"). It ends when ctx does.
	Probe func(ctx context.Context, address string) error
	// OnEndpoints is handed the endpoints that answer, by number, each time they change; the first time when the first one is ready. The
	// slice is the receiver's. Calls come one at a time, from goroutines of Run, and none after Run has returned; a replica that leaves is
	// stopped only when the call that leaves it out has returned. It must not wait for the set.
	OnEndpoints func([]rpc.Endpoint)
	// Drain waits until no call is in flight at the named endpoint, or ctx ends. It is called before SIGTERM when Scale takes a replica
	// away. Nil: no wait.
	Drain func(ctx context.Context, name string)
	// DrainTimeout bounds Drain: the longest deadline of a call. Zero: 1m.
	DrainTimeout time.Duration
	// Adopt is replicas that run already, as another process's Offer has them: those that the set wants are endpoints at once, and are
	// watched; they are supervised from Own on. The set owns the files.
	Adopt []Running
	// Output is sent the lines that replicas write, each behind its name: "users-2 | text". Lines over 4 KiB are cut, and past 100 a
	// second (500 at once) of one replica left out and counted; the log files have everything. Nil: none.
	Output io.Writer
	// Log is told of starts, ends and restarts. Nil: slog.Default().
	Log *slog.Logger
}

// Mistake is one thing that is wrong in a Config.
type Mistake struct {
	Key  string // within the run block: "command"
	Text string
}

// Mistakes returns everything that is wrong in c and can be told without touching the system, in the order of its keys.
func (c Config) Mistakes() []Mistake {
	var list []Mistake
	wrong := func(key, format string, args ...any) {
		list = append(list, Mistake{key, fmt.Sprintf(format, args...)})
	}
	socket, port := c.mentions("{socket}"), c.mentions("{port}")
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		wrong("command", "no command is given")
	case socket && port:
		wrong("command", "{socket} and {port} are both given; a replica serves at one of them")
	case !socket && !port:
		wrong("command", "neither {socket} nor {port} is given: the command has to be told where to serve")
	}
	if c.Replicas < 0 || c.Replicas > MaxReplicas {
		wrong("replicas", "%d is not between 0 and %d", c.Replicas, MaxReplicas)
	}
	if c.Adopt && !adoptable {
		wrong("adopt", "replicas can outlive their gateway on Linux only")
	}
	for _, name := range sortedKeys(c.Env) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			wrong("env", "%q cannot be the name of a variable", name)
		}
	}
	if c.StartTimeout < 0 {
		wrong("start_timeout", "%s is negative", c.StartTimeout)
	}
	return list
}

func (c Config) mentions(placeholder string) bool {
	for _, arg := range c.Command {
		if strings.Contains(arg, placeholder) {
			return true
		}
	}
	for _, value := range c.Env {
		if strings.Contains(value, placeholder) {
			return true
		}
	}
	return false
}

// Timeouts are what bounds starting and ending, as Config and Options have it: the same zeros stand for the same.
type Timeouts struct {
	Start, Stop, Drain time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for at, standard := range map[*time.Duration]time.Duration{&t.Start: DefaultStartTimeout, &t.Stop: DefaultStopTimeout, &t.Drain: DefaultDrainTimeout} {
		if *at == 0 {
			*at = standard
		}
	}
	return t
}

// check returns what is wrong in c and opts, all of it.
func check(c Config, opts Options) error {
	var errs []error
	for _, m := range c.Mistakes() {
		errs = append(errs, fmt.Errorf("%s: %s", m.Key, m.Text))
	}
	if opts.Name == "" || strings.ContainsAny(opts.Name, "/\\\x00") {
		errs = append(errs, fmt.Errorf("the name %q cannot be part of a file name", opts.Name))
	}
	if opts.State == "" {
		errs = append(errs, errors.New("no state folder is given"))
	}
	if opts.Probe == nil || opts.OnEndpoints == nil {
		errs = append(errs, errors.New("options Probe and OnEndpoints have to be given"))
	}
	return errors.Join(errs...)
}

// spec is one replica's command with everything filled in.
type spec struct {
	args []string
	env  []string
	dir  string
	user *identity // nil: this process's own
	out  *os.File  // the write end of what the replica's output comes through
	hold *os.File  // the end of the leash that the replica gets; nil: it ends with this process
}

// fill returns c's command for one replica. address is "unix:/path" or "127.0.0.1:port".
func (c Config) fill(number int, address string, user *identity) spec {
	place := strings.NewReplacer(
		"{socket}", strings.TrimPrefix(address, "unix:"),
		"{port}", address[strings.LastIndexByte(address, ':')+1:],
		"{replica}", strconv.Itoa(number))
	s := spec{dir: c.Dir, user: user, env: os.Environ()}
	for _, arg := range c.Command {
		s.args = append(s.args, place.Replace(arg))
	}
	if user != nil {
		s.env = append(s.env, "HOME="+user.home, "USER="+user.name, "LOGNAME="+user.name)
	}
	for _, name := range sortedKeys(c.Env) { // of two entries with one name the later one counts
		s.env = append(s.env, name+"="+place.Replace(c.Env[name]))
	}
	return s
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
