package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// addresses finds places for the replicas of one set to serve at. Safe for concurrent use.
type addresses struct {
	name   string
	run    string // the folder of sockets; made when it is first needed
	user   *identity
	socket bool // else ports

	mu   sync.Mutex
	temp string // a short folder instead of run, removed by close; "" while there is none
	keep bool   // temp is another gateway's too, which goes on with it
}

// ports are the addresses that replicas of this process have, of all sets: two servers that set SO_REUSEPORT, as ThriftPy's do, would
// share a port and not notice.
var ports = struct {
	sync.Mutex
	taken map[string]bool
}{taken: map[string]bool{}}

// maxSocketPath is the longest path, in bytes, that the system takes for a unix socket (sockaddr_un, less the ending zero).
func maxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// next returns the address for a start of replica number, which is its own until release. last is what it had before, "" at first: a
// port stays the same while it is free. What a dead process left at a socket's path is removed; where a living one serves there (another
// gateway, or an older set that is still stopping) another path is used.
func (a *addresses) next(number int, last string) (string, error) {
	if a.socket {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.nextSocket(number)
	}
	return nextPort(last)
}

func (a *addresses) nextSocket(number int) (string, error) {
	const tries = 8
	for try := range tries {
		file := fmt.Sprintf("%s-%d.sock", a.name, number)
		if try > 0 {
			file = fmt.Sprintf("%s-%d.%d.sock", a.name, number, try)
		}
		path, err := a.path(file)
		if err != nil {
			return "", err
		}
		if serves(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("remove what is left of a socket: %w", err)
		}
		return "unix:" + path, nil
	}
	return "", fmt.Errorf("other processes serve at %s and %d more like it", filepath.Join(a.run, fmt.Sprintf("%s-%d.sock", a.name, number)), tries-1)
}

// path returns where file is to be, in a folder that exists.
func (a *addresses) path(file string) (string, error) {
	path := filepath.Join(a.run, file)
	if a.user == nil && len(path) <= maxSocketPath() {
		return path, os.MkdirAll(a.run, 0o700)
	}
	if err := a.makeTemp(len(file)); err != nil {
		return "", fmt.Errorf("a folder for sockets: %w", err)
	}
	path = filepath.Join(a.temp, file)
	if len(path) > maxSocketPath() {
		return "", fmt.Errorf("the socket's path is over %d bytes: %s", maxSocketPath(), path)
	}
	return path, nil
}

// makeTemp makes a short folder that the replicas' user may write to and nobody else can enter.
func (a *addresses) makeTemp(file int) error {
	if a.temp != "" {
		return nil
	}
	parent := os.TempDir()
	if len(parent)+len("/thriftloom-1234567890/")+file > maxSocketPath() {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "thriftloom-")
	if err != nil {
		return err
	}
	a.temp = dir
	if a.user != nil {
		return os.Chown(dir, a.user.uid, a.user.gid)
	}
	return nil
}

// release gives an address back when its replica's process has ended.
func (a *addresses) release(address string) {
	if a.socket {
		_ = os.Remove(strings.TrimPrefix(address, "unix:")) // mostly not there any more
		return
	}
	ports.Lock()
	delete(ports.taken, address)
	ports.Unlock()
}

func (a *addresses) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.temp != "" && !a.keep {
		_ = os.RemoveAll(a.temp)
	}
}

// adopt makes the folder and the address of a replica that runs already the set's.
func (a *addresses) adopt(folder, address string) {
	a.mu.Lock()
	if folder != "" {
		a.temp = folder
	}
	a.mu.Unlock()
	if !a.socket {
		ports.Lock()
		ports.taken[address] = true
		ports.Unlock()
	}
}

// share says whether another gateway has the folder too; folder returns it, "" for none.
func (a *addresses) share(on bool) {
	a.mu.Lock()
	a.keep = on
	a.mu.Unlock()
}

func (a *addresses) folder() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.temp
}

// serves says whether something accepts connections at path.
func serves(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// nextPort returns last if its port is free, else a loopback address with a port that is. Another program may take the port before the
// replica does; the replica then ends, and its next start finds another.
func nextPort(last string) (string, error) {
	ports.Lock()
	defer ports.Unlock()
	wanted := last
	if wanted == "" {
		wanted = anyPort
	}
	for range 32 {
		address, err := freePort(wanted)
		if err == nil && !ports.taken[address] {
			ports.taken[address] = true
			return address, nil
		}
		if err != nil && wanted == anyPort {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		wanted = anyPort
	}
	return "", errors.New("no free port was found")
}

const anyPort = "127.0.0.1:0"

// freePort listens at address for a moment, and returns where that was.
func freePort(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
