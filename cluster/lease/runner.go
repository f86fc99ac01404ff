package lease

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/thriftloom/thriftloom/cluster/view"
	"github.com/thriftloom/thriftloom/cluster/voids"
)

// Config says who shares.
type Config struct {
	Name   string        // of this gateway; of those that live, the one with the lowest name gives the orders
	Listen string        // host:port, of UDP
	Peers  []string      // host:port of the others; the own address may be among them
	Key    []byte        // that all share, to seal what they say; nil where nobody else can reach them
	Hold   time.Duration // the longest that a call may take
}

// Runner drives a Node over UDP. Its methods are safe for concurrent use.
type Runner struct {
	log     *slog.Logger
	address string
	socket  *net.UDPConn  // nil until Run, of one that is made to be Later
	wake    chan struct{} // capacity 1
	watches atomic.Bool   // the end of a call matters to somebody

	stir  chan struct{} // capacity 1: there is something to tell the others, or to let go of
	looks atomic.Bool   // calls are told, every so often, until nobody has any

	news   chan struct{} // capacity 1: something has been made void, or is to be acknowledged
	ledger *voids.Ledger // guarded by mu, but for Tell

	mu      sync.Mutex // held while upstreams are asked and limited; Changed and Busy do not take it
	node    *Node
	sight   sight
	keeper  Keeper // nil: no replies are kept here
	key     []byte
	peers   []string
	at      []netip.AddrPort // of the peers; the zero one where its name has no address yet
	knocks  []*net.UDPConn   // sockets that learn whether a peer's host says that nobody listens
	sent    int64
	taken   int64
	dropped map[string]int64 // by reason
}

// Snapshot is a Runner at one moment.
type Snapshot struct {
	Name    string
	Arbiter string // who gives the orders
	Static  bool   // slots are not lent: somebody is cut off
	Members []Member
	Sent    int64
	Taken   int64
	Dropped map[string]int64 // datagrams, by reason: seal, form, stranger, late
	Heard   []view.Heard     // of the others' calls, by member; nil where these are not told
	Voids   *Voids           // nil where no replies are kept
}

// minGap bounds how often the node is driven: what happens meanwhile is one step.
const minGap = 300 * time.Microsecond

// followPause is between two attempts to open a socket that another process still has.
const followPause = 20 * time.Millisecond

// leaveTime bounds the wait for connections on the way out, beyond the longest call.
const leaveTime = 2 * time.Second

// Listen opens the socket. Run has to be called, or Close.
func Listen(cfg Config, log *slog.Logger) (*Runner, error) {
	r := Later(cfg, log)
	return r, r.listen()
}

// Later returns a Runner that opens its socket when it is run, as soon as nobody else has the address: it follows another process.
func Later(cfg Config, log *slog.Logger) *Runner {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	r := &Runner{log: log, address: cfg.Listen, dropped: map[string]int64{}}
	r.wake, r.stir, r.news = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	inc, now := binary.BigEndian.Uint64(random[:])|1, time.Now()
	r.node = New(cfg.Name, inc, DefaultTimes(), nil, cfg.Hold, now)
	r.sight = newSight(inc, now)
	r.ledger = voids.New(inc, now, voids.DefaultTimes())
	r.Configure(cfg)
	return r
}

func (r *Runner) listen() error {
	address, err := net.ResolveUDPAddr("udp", r.address)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", address)
	if err == nil {
		r.mu.Lock()
		r.socket = socket
		r.mu.Unlock()
	}
	return err
}

// Listening reports whether the socket is open.
func (r *Runner) Listening() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.socket != nil
}

// Close closes the socket of a Runner that was never run.
func (r *Runner) Close() {
	if r.socket != nil {
		_ = r.socket.Close()
	}
}

// Configure changes the name, the peers, the key and the longest call. Listen stays as it was.
func (r *Runner) Configure(cfg Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	peers := slices.DeleteFunc(slices.Clone(cfg.Peers), func(p string) bool { return p == cfg.Listen })
	at, knocks := make([]netip.AddrPort, len(peers)), make([]*net.UDPConn, len(peers))
	for i, p := range peers {
		at[i], _ = netip.ParseAddrPort(p) // of a name later
		if k := slices.Index(r.peers, p); k >= 0 {
			at[i], knocks[i], r.knocks[k] = r.at[k], r.knocks[k], nil
		}
	}
	for _, k := range r.knocks {
		if k != nil {
			_ = k.Close()
		}
	}
	if !slices.Equal(peers, r.peers) {
		r.sight.setPeers(len(peers))
	}
	r.key, r.peers, r.at, r.knocks = cfg.Key, peers, at, knocks
	r.node.name = cfg.Name
	r.node.SetPeers(peers, cfg.Hold, time.Now())
	r.ledger.SetPeers(peers, time.Now())
	r.dropLost()
	r.rouse()
}

// Share adds an upstream, by the name that all gateways call it by; nil takes it out.
func (r *Runner) Share(name string, up Upstream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node.Share(name, up)
	r.rouse()
}

// Changed says that an upstream's use has changed; waiting, that a call has begun to wait. It does not wait.
func (r *Runner) Changed(waiting bool) {
	if waiting || r.watches.Load() {
		r.rouse()
	}
}

func (r *Runner) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Snapshot returns the Runner as it is now.
func (r *Runner) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Snapshot{Name: r.node.name, Sent: r.sent, Taken: r.taken, Dropped: maps.Clone(r.dropped)}
	s.Members, s.Arbiter, s.Static = r.node.Members()
	s.Heard = r.heard(time.Now())
	s.Voids = r.voids(time.Now())
	return s
}

// Run shares until ctx ends. Then it gives up its slots, waits until the connections are closed, but no longer than the longest call, and
// says goodbye.
func (r *Runner) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	names, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	all.Go(func() { r.speak(names) })
	for ; r.socket == nil; pause(ctx, followPause) {
		if err := r.listen(); err != nil && ctx.Err() != nil {
			return err
		}
	}
	all.Go(r.read)
	all.Go(func() { r.resolve(names) })
	all.Go(func() { r.look(names) })
	r.drive(ctx)
	r.leave()
	stop()
	_ = r.socket.Close()
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.knocks {
		if k != nil {
			_ = k.Close()
		}
	}
	for name := range r.sight.viewed {
		r.sight.end(name)
	}
	return nil
}

// drive steps the node until ctx ends.
func (r *Runner) drive(ctx context.Context) {
	tick := time.NewTicker(DefaultTimes().Tick)
	defer tick.Stop()
	for ticks := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if ticks++; ticks%3 == 0 {
				r.knock()
			}
		case <-r.wake:
		}
		r.step()
		pause(ctx, minGap)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (r *Runner) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send(r.node.Step(time.Now()))
	r.watches.Store(r.node.Watches())
	r.judge()
	r.judgeVoids()
	for _, e := range r.node.Events() {
		level := slog.LevelInfo
		if e.Reason != "" {
			level = slog.LevelWarn
		}
		r.log.Log(context.Background(), level, "gateways: "+e.Text, "gateway", e.Peer, "reason", e.Reason)
	}
}

// leave gives up everything, waits for the connections, and says goodbye.
func (r *Runner) leave() {
	open := r.giveUp()
	r.part()
	r.mu.Lock()
	defer r.mu.Unlock()
	if open == 0 { // else its end is proven by its host
		r.send(r.node.Bye(time.Now()))
	}
}

// giveUp gives all slots back, and returns how many connections are left when it is time.
func (r *Runner) giveUp() (open int) {
	r.mu.Lock()
	end := time.Now().Add(r.node.hold + leaveTime)
	r.mu.Unlock()
	for {
		r.mu.Lock()
		open = r.node.Leave()
		r.mu.Unlock()
		if open == 0 || time.Now().After(end) {
			return open
		}
		r.step()
		pause(context.Background(), 5*time.Millisecond)
	}
}

// send writes datagrams. One that cannot be written is lost, as on its way it might be. r.mu is held.
func (r *Runner) send(out []Outgoing) {
	for _, o := range out {
		if to := r.at[o.Peer]; to.IsValid() {
			r.sent++
			_, _ = r.socket.WriteToUDPAddrPort(Seal(r.key, o.Message.Append(nil)), to)
		}
	}
}

// read takes datagrams until the socket is closed.
func (r *Runner) read() {
	buf := make([]byte, MaxBytes+1)
	for {
		n, from, err := r.socket.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // of an earlier datagram, on some systems
			pause(context.Background(), time.Millisecond)
		case n > 1: // else a knock
			r.receive(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

// receive takes one datagram.
func (r *Runner) receive(b []byte, from netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	drop := func(reason string) { r.dropped[reason]++ }
	i := slices.Index(r.at, from)
	if i < 0 {
		drop("stranger")
		return
	}
	b, err := Unseal(r.key, b)
	if err != nil {
		drop("seal")
		return
	}
	if view.Is(b) {
		r.hear(i, b, drop)
		return
	}
	if voids.Is(b) {
		r.hearVoid(i, b, drop)
		return
	}
	m, err := Parse(b)
	if err != nil {
		drop("form")
		return
	}
	if !r.node.Receive(i, m, time.Now()) {
		drop("late")
	} else {
		r.taken++
	}
	r.rouse()
}

// knock asks the hosts of peers that are not heard whether anybody listens: a socket that is bound to one peer is told.
func (r *Runner) knock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for i := range r.peers {
		if !r.at[i].IsValid() || !r.node.Doubts(i, now) {
			continue
		}
		if r.knocks[i] == nil {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.at[i]))
			if err != nil {
				continue
			}
			r.knocks[i] = c
		}
		if _, err := r.knocks[i].Write([]byte{0}); errors.Is(err, syscall.ECONNREFUSED) { // the answer to the knock before
			r.node.Refused(i, now)
			_, _ = r.knocks[i].Write([]byte{0})
		}
	}
}

// resolve looks up the addresses of peers that have names, now and again until they are heard.
func (r *Runner) resolve(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, lookupPause) {
		r.mu.Lock()
		peers, now := slices.Clone(r.peers), time.Now()
		r.mu.Unlock()
		for _, p := range peers {
			if _, err := netip.ParseAddrPort(p); err != nil {
				r.lookUp(ctx, p, now)
			}
		}
	}
}

// lookupPause is between two look-ups of the same name.
const lookupPause = 2 * time.Second

func (r *Runner) lookUp(ctx context.Context, peer string, now time.Time) {
	r.mu.Lock()
	i := slices.Index(r.peers, peer)
	heard := i >= 0 && r.at[i].IsValid() && !r.node.Doubts(i, now)
	r.mu.Unlock()
	if heard {
		return
	}
	host, service, err := net.SplitHostPort(peer)
	if err != nil {
		return
	}
	once, cancel := context.WithTimeout(ctx, lookupPause)
	defer cancel()
	port, err := net.DefaultResolver.LookupPort(once, "udp", service)
	if err != nil {
		return
	}
	found, err := net.DefaultResolver.LookupNetIP(once, "ip", host)
	if err != nil || len(found) == 0 {
		return
	}
	slices.SortFunc(found, netip.Addr.Compare)
	to := netip.AddrPortFrom(found[0].Unmap(), uint16(port))
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.peers, peer); i >= 0 && r.at[i] != to {
		r.at[i] = to
		if r.knocks[i] != nil {
			_ = r.knocks[i].Close()
			r.knocks[i] = nil
		}
	}
}
