package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"time"
)

// Running is a replica on its way from one process of the gateway to the next.
type Running struct {
	Number, PID, Restarts int
	Started               uint64 // of its process, in clock ticks since the system's start: tells it from a later one with its id
	Address               string
	Since                 time.Time // it was ready
	Folder                string    // temporary folder of the set's sockets, "" for none
	Output                *os.File  // read end of what it writes
	Leash                 *os.File  // while anybody holds it the replica lives
}

// Close closes the files.
func (r Running) Close() {
	_ = r.Output.Close()
	_ = r.Leash.Close()
}

// Fingerprint tells configs apart whose replicas cannot be each other's.
func (c Config) Fingerprint() string {
	c.Replicas, c.StopTimeout, c.StartTimeout = 0, 0, 0
	text, _ := json.Marshal(c) // strings, and maps of them, which it sorts
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Offer returns the replicas that are ready and that another process could go on with; none without Config.Adopt. The files are copies and
// the caller's. Nothing has changed for the set.
func (s *Set) Offer() (all []Running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.replicas {
		if r.sight.State != Ready || !r.ours || r.now == nil || r.now.leash == nil {
			continue
		}
		if o, err := r.now.offer(); err == nil { // else it has just ended
			o.Number, o.Restarts, o.Since, o.Folder = r.number, r.sight.Restarts, r.sight.Since, s.at.folder()
			all = append(all, o)
		}
	}
	return all
}

// Give makes the processes with these ids another gateway's: they are endpoints for as long as the set runs, and are not ended, started
// anew or listened to. Own takes them back.
func (s *Set) Give(pids []int) {
	var gone []*started
	s.mu.Lock()
	for _, r := range s.replicas {
		if r.now != nil && r.ours && slices.Contains(pids, r.now.pid()) {
			r.ours, r.given = false, true
			gone = append(gone, r.now)
		}
	}
	s.mu.Unlock()
	if len(gone) > 0 {
		s.at.share(true)
	}
	for _, p := range gone {
		p.mute()
	}
}

// Own makes all processes that were adopted, or given away, this set's: it ends them, starts them anew and listens to them.
func (s *Set) Own() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at.share(false)
	for _, r := range s.replicas {
		r.given, r.ours = false, true
		if r.now != nil {
			r.now.listen(r.tail)
		}
		select {
		case r.back <- struct{}{}:
		default: // nobody has taken the last one
		}
	}
}

// Adopted returns the ids of the processes that the set goes on with and has not started.
func (s *Set) Adopted() (pids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.adopted {
		pids = append(pids, p.pid())
	}
	for _, r := range s.replicas {
		if r.now != nil && !r.ours {
			pids = append(pids, r.now.pid())
		}
	}
	return pids
}

// adopt takes in the replicas that the set wants and that live; the others are left to whom they belong.
func (s *Set) adopt(running []Running) {
	for _, o := range running {
		if !s.cfg.Adopt || o.Number < 1 || o.Number > s.target || s.adopted[o.Number] != nil {
			o.Close()
			continue
		}
		p, err := newStranger(o.PID, o.Started)
		if err != nil {
			s.opts.Log.Warn("a replica is not taken over", "pid", o.PID, "error", err)
			o.Close()
			continue
		}
		s.at.adopt(o.Folder, o.Address)
		s.at.share(true)
		s.adopted[o.Number] = &started{process: p, address: o.Address, out: o.Output, leash: o.Leash, restarts: o.Restarts, since: o.Since}
	}
}
