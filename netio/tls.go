package netio

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// TLSOptions say how a listener greets callers.
type TLSOptions struct {
	// Config is asked for each connection, so that certificates may change. nil, or a nil that it returns, leaves connections as they are.
	Config func() *tls.Config
	// Users is asked for each connection who may log in by SASL PLAIN, which follows TLS: what it returns is asked whether credentials are
	// right, and has to take the same time over wrong ones. nil, or a nil that it returns, lets everybody in unasked.
	Users func() func(Credentials) bool
	// Timeout bounds one handshake, with the login. Default 10s.
	Timeout time.Duration
	// MaxHandshakes bounds the handshakes at one time; a connection past it is closed at once. Default 2048.
	MaxHandshakes int
	// MaxHandshakesPerHost bounds those with one host (HostOf), so that one that stays silent keeps the others in; connections of this
	// machine are not counted. Default a quarter of MaxHandshakes.
	MaxHandshakesPerHost int
	// OnFailure, if set, is told of each handshake that failed. It must be quick and is called concurrently.
	OnFailure func(from net.Addr, failure HandshakeFailure, err error)
}

// NewTLSListener returns a listener whose connections have their handshake behind them: a caller that takes its time over it keeps nobody
// from being accepted. Close closes l and the connections that nobody has accepted yet, and returns when all of that has ended.
func NewTLSListener(l net.Listener, opts TLSOptions) net.Listener {
	if opts.Config == nil {
		opts.Config = func() *tls.Config { return nil }
	}
	if opts.Users == nil {
		opts.Users = func() func(Credentials) bool { return nil }
	}
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.MaxHandshakes == 0 {
		opts.MaxHandshakes = 2048
	}
	if opts.MaxHandshakesPerHost == 0 {
		opts.MaxHandshakesPerHost = max(1, opts.MaxHandshakes/4)
	}
	t := &tlsListener{Listener: l, opts: opts, hosts: map[string]int{}, ready: make(chan accepted), free: make(chan struct{}, opts.MaxHandshakes)}
	t.life, t.end = context.WithCancel(context.Background())
	t.running.Go(t.run)
	return t
}

// tlsListener accepts in one goroutine and greets in one for each connection.
type tlsListener struct {
	net.Listener
	opts    TLSOptions
	ready   chan accepted
	free    chan struct{} // holds a token for each handshake
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	hosts map[string]int // handshakes by host
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// Accept implements net.Listener.
func (t *tlsListener) Accept() (net.Conn, error) {
	select {
	case a := <-t.ready:
		return a.conn, a.err
	case <-t.life.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (t *tlsListener) Close() error {
	t.end()
	err := t.Listener.Close()
	t.running.Wait()
	return err
}

// run accepts until the listener is closed. An error is handed on before the next try.
func (t *tlsListener) run() {
	for t.life.Err() == nil {
		c, err := t.Listener.Accept()
		if err != nil {
			t.offer(accepted{err: err})
			continue
		}
		config, users := t.opts.Config(), t.opts.Users()
		if config == nil && users == nil {
			t.offer(accepted{conn: c})
			continue
		}
		leave, ok := t.enter(c.RemoteAddr())
		if !ok {
			t.failed(c, TooManyHandshakes, errTooMany)
			_ = c.Close()
			continue
		}
		t.running.Go(func() {
			defer leave()
			t.greet(c, config, users)
		})
	}
}

var errTooMany = errors.New("too many handshakes at one time")

// enter reports whether one more handshake may begin; leave is called when it has ended.
func (t *tlsListener) enter(from net.Addr) (leave func(), ok bool) {
	host, local := HostOf(from)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !local && t.hosts[host] >= t.opts.MaxHandshakesPerHost {
		return nil, false
	}
	select {
	case t.free <- struct{}{}:
	default:
		return nil, false
	}
	t.hosts[host]++
	return func() {
		<-t.free
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.hosts[host]--; t.hosts[host] <= 0 {
			delete(t.hosts, host)
		}
	}, true
}

// greet makes the handshake, and hears who calls.
func (t *tlsListener) greet(c net.Conn, config *tls.Config, users func(Credentials) bool) {
	ctx, cancel := context.WithTimeout(t.life, t.opts.Timeout)
	defer cancel()
	greeted, err := greet(ctx, c, config, users)
	if err != nil {
		if t.life.Err() == nil {
			t.failed(c, FailureOf(err), err)
		}
		_ = greeted.Close()
		return
	}
	t.offer(accepted{conn: greeted})
}

// greet returns what speaks through c, also with an error.
func greet(ctx context.Context, c net.Conn, config *tls.Config, users func(Credentials) bool) (net.Conn, error) {
	if config != nil {
		secure := tls.Server(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return c, err
		}
		c = secure
	}
	if users == nil {
		return c, nil
	}
	user, err := greetSASL(ctx, c, users)
	return &pieces{Conn: c, user: user}, err
}

// offer waits until a is accepted, or the listener is closed.
func (t *tlsListener) offer(a accepted) {
	select {
	case t.ready <- a:
	case <-t.life.Done():
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
}

func (t *tlsListener) failed(c net.Conn, why HandshakeFailure, err error) {
	if t.opts.OnFailure != nil {
		t.opts.OnFailure(c.RemoteAddr(), why, err)
	}
}

// HandshakeFailure says in one word why a handshake failed. It is a metric label.
type HandshakeFailure string

// The failures.
const (
	TooManyHandshakes  HandshakeFailure = "too_many"          // past the bound of handshakes at one time
	HandshakeTimeout   HandshakeFailure = "timeout"           // not done in time
	NotTLS             HandshakeFailure = "not_tls"           // the peer does not speak TLS
	NoCertificate      HandshakeFailure = "no_certificate"    // a certificate is wanted, and the peer has none
	BadCertificate     HandshakeFailure = "bad_certificate"   // the peer's is not trusted, for another name, or over
	RefusedByPeer      HandshakeFailure = "refused_by_peer"   // the peer said no: mostly to the certificate that it was shown
	NoCommonVersion    HandshakeFailure = "no_common_version" // of TLS, or no common cipher
	ClosedInHandshake  HandshakeFailure = "closed"            // the peer went away; a port check does
	NotSASL            HandshakeFailure = "not_sasl"          // the peer does not speak SASL, or not in turn
	BadMechanism       HandshakeFailure = "bad_mechanism"     // of SASL: another than PLAIN
	BadCredentials     HandshakeFailure = "bad_credentials"   // a user or a password is wrong
	OtherHandshakeFail HandshakeFailure = "other"             //
)

// FailureOf tells why a handshake failed with err, on either side.
func FailureOf(err error) HandshakeFailure {
	var notTLS tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var op *net.OpError
	var ne net.Error
	var login *LoginError
	text := err.Error()
	switch {
	case errors.As(err, &login):
		return login.Failure
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return HandshakeTimeout
	case errors.As(err, &notTLS):
		return NotTLS
	case errors.As(err, &bad):
		return BadCertificate
	case errors.As(err, &op) && op.Op == "remote error":
		return RefusedByPeer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ClosedInHandshake
	case strings.Contains(text, "didn't provide a certificate"): // package tls has no error of its own for these
		return NoCertificate
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "no cipher suite"):
		return NoCommonVersion
	case strings.Contains(text, "unsupported SSLv2"), strings.Contains(text, "first record does not look like"):
		return NotTLS
	}
	return OtherHandshakeFail
}

// HandshakeError is why the handshake with a server failed.
type HandshakeError struct {
	Failure HandshakeFailure
	Err     error
}

// Error says that it was the handshake.
func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Handshake greets the server at the other end of c within ctx and returns the connection that speaks TLS. On an error, which is a
// *HandshakeError, c is closed.
func Handshake(ctx context.Context, c net.Conn, config *tls.Config) (net.Conn, error) {
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, &HandshakeError{FailureOf(err), err}
	}
	return secure, nil
}
