package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/thriftloom/thriftloom/internal/plain"
	"github.com/thriftloom/thriftloom/internal/secret"
)

// The bounds of a link.
const (
	maxFlights  = 512 // operations at one time; half of what a connection queues, so that none waits where its context cannot end it
	ringScale   = 10  // 1,024 places in that queue
	bufferBytes = 64 << 10
	firstPause  = 50 * time.Millisecond // between two attempts to reach a server that was never there, and twice as long after each
	longPause   = 2 * time.Second
	longAnswer  = time.Minute // that comes bit by bit; a silent server is found sooner
	redirects   = 4           // of one command in a cluster whose slots move
)

var (
	errClosed   = errors.New("closed")
	errTracking = errors.New("the server does not tell what changes: tracking: false is wanted, or the right to client|tracking")
)

// link is the connection to the servers, one to each of them. It is made in the background, and made anew where it breaks. Safe for concurrent use.
type link struct {
	name    string // the servers, in errors
	option  rueidis.ClientOption
	config  Config
	lost    func()        // told of silence; nil: nobody wants to know
	flights chan struct{} // what is under way
	tried   chan struct{} // closed once it was tried to reach the servers
	ended   chan struct{} // closed once that is not tried any more
	client  atomic.Pointer[rueidis.Client]
	failed  atomic.Pointer[error] // why there is no client
	ctx     context.Context       // ends with close
	cancel  context.CancelFunc
	once    sync.Once // of close
}

// newLink returns a link that is to be started. told, if there is one, has what the server tells of keys that were read: some that have
// changed, or with nil that all may have.
func newLink(c Config, t *tls.Config, told func([]rueidis.RedisMessage)) (*link, error) {
	c = c.WithDefaults()
	if err := wrong(&c); err != nil {
		return nil, err
	}
	l := &link{
		name: strings.Join(c.Addresses, ","), config: c,
		flights: make(chan struct{}, maxFlights), tried: make(chan struct{}), ended: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	dialer := net.Dialer{Timeout: c.DialTimeout, KeepAlive: c.Timeout / 4} // KeepAlive is how often rueidis asks a connection at rest
	l.option = rueidis.ClientOption{
		InitAddress: c.Addresses, ForceSingleClient: !c.Cluster && c.Sentinel.Master == "", SelectDB: c.DB,
		Username: c.User, Password: c.Password, ClientName: "thriftloom", TLSConfig: t,
		Sentinel: rueidis.SentinelOption{
			MasterSet: c.Sentinel.Master, Username: c.Sentinel.User, Password: c.Sentinel.Password, TLSConfig: t, Dialer: dialer,
			TopologyRefreshInterval: 5 * time.Second,
		},
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: redirects},
		Dialer:        dialer, DialCtxFn: l.dial, ConnWriteTimeout: longAnswer,
		PipelineMultiplex: -1, // one connection: what it has read it is told of
		BlockingPipeline:  -1, // … however much it is
		RingScaleEachConn: ringScale, ReadBufferEachConn: bufferBytes, WriteBufferEachConn: bufferBytes,
		AlwaysPipelining: true, DisableRetry: true, DisableCache: true,
	}
	if c.PasswordFile != "" {
		l.option.AuthCredentialsFn = func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			text, err := secret.Read(c.PasswordFile)
			return rueidis.AuthCredentials{Username: c.User, Password: strings.TrimSpace(text)}, err
		}
	}
	if told != nil {
		l.lost = func() { told(nil) }
		l.option.Dialer.KeepAlive = c.LostAfter / 4
		l.option.DisableCache = false // which nothing is kept in: it only turns tracking on
		l.option.ClientTrackingOptions = []string{"NOLOOP"}
		l.option.OnInvalidations = told
	}
	return l, nil
}

// wrong returns all mistakes as one error.
func wrong(c *Config) error {
	lines := plain.Mistakes("redis", *c)
	for _, m := range c.Mistakes() {
		lines = append(lines, "redis."+m.Key+": "+m.Text)
	}
	if len(lines) > 0 {
		return errors.New(strings.Join(lines, "\n"))
	}
	return nil
}

// start makes the client in the background, for as long as it takes: there is none before it has reached a server.
func (l *link) start() { go l.connect() }

func (l *link) connect() {
	defer close(l.ended)
	for pause := firstPause; l.ctx.Err() == nil; pause = min(2*pause, longPause) {
		client, err := l.open()
		if err == nil {
			l.client.Store(&client)
		} else {
			l.failed.Store(&err)
			if client != nil {
				client.Close()
			}
		}
		if pause == firstPause {
			close(l.tried)
		}
		if err == nil {
			return
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// open makes a client, which has reached a server.
func (l *link) open() (rueidis.Client, error) {
	option := l.option
	if file := l.config.Sentinel.PasswordFile; file != "" {
		text, err := secret.Read(file)
		if err != nil {
			return nil, err
		}
		option.Sentinel.Password = strings.TrimSpace(text)
	}
	return rueidis.NewClient(option)
}

// dial makes one connection, which is watched. Silence is a loss where the server tells what changes.
func (l *link) dial(ctx context.Context, address string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.DialTimeout)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	var dialer net.Dialer
	var c net.Conn
	var err error
	if t == nil {
		c, err = dialer.DialContext(ctx, "tcp", address)
	} else {
		c, err = (&tls.Dialer{NetDialer: &dialer, Config: t}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	if err := greet(ctx, c); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if l.lost != nil && d.KeepAlive == l.option.Dialer.KeepAlive { // … which those to Sentinels are not
		return watch(c, l.config.LostAfter, l.config.Timeout, l.lost), nil
	}
	return watch(c, l.config.Timeout, l.config.Timeout, nil), nil
}

// maxGreeting bounds the first answer of a server, in bytes. Redis explains in 1 KB how to leave its protected mode.
const maxGreeting = 4 << 10

// greet makes sure that it is a Redis that answers: rueidis panics where something answers more often than it is asked, as servers of other
// protocols do that are asked line by line.
func greet(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(c, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return err
	}
	var b []byte
	for !bytes.HasSuffix(b, []byte("\n")) && len(b) < maxGreeting {
		n := len(b)
		b = append(b, make([]byte, 512)...)
		m, err := c.Read(b[n:])
		if b = b[:n+m]; err != nil {
			return err
		}
	}
	switch line := strings.TrimSuffix(string(b), "\r\n"); {
	case line == "+PONG", strings.HasPrefix(line, "-NOAUTH"), strings.HasPrefix(line, "-NOPERM"):
		return nil
	case strings.HasPrefix(line, "-") && !strings.Contains(line, "\n"): // no more connections, protected mode, loading
		return fmt.Errorf("it says %q", line[1:min(len(line), 200)])
	}
	return errors.New("no Redis: it answers otherwise")
}

// close ends the link and all that is under way.
func (l *link) close() {
	l.once.Do(func() {
		l.cancel()
		<-l.ended
		c := l.client.Load()
		if c != nil {
			(*c).Close()
		}
		for range maxFlights {
			l.flights <- struct{}{}
		}
		if c != nil {
			(*c).Close() // a connection that was made while the first Close ran
		}
	})
}

// do lets f ask the servers, and waits for it until ctx ends. f is not given up then: it ends when the server has answered, or the connection
// breaks, and what it got is nobody's.
func do[T any](ctx context.Context, l *link, f func(c rueidis.Client) (T, error)) (T, error) {
	var none T
	c, err := l.enter(ctx)
	if err != nil {
		return none, l.wrap(err)
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-l.flights }()
		v, err := f(c)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, l.wrap(r.err)
	case <-ctx.Done():
		return none, l.wrap(ctx.Err())
	}
}

// enter takes a place in flights and returns the client.
func (l *link) enter(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-l.tried:
	case <-l.ended:
	case <-ctx.Done():
	}
	c := l.client.Load()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.ctx.Err() != nil:
		return nil, errClosed
	case c == nil:
		return nil, *l.failed.Load()
	}
	select {
	case l.flights <- struct{}{}:
		return *c, nil
	case <-l.ctx.Done():
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wrap makes an error fit to be shown. Some of a server's repeat what they were asked, a password or a value.
func (l *link) wrap(err error) error {
	var answered *rueidis.RedisError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rueidis.ErrNoCache):
		first, _, _ := strings.Cut(err.Error(), "\n")
		if err = errTracking; strings.HasPrefix(first, "NOPERM") {
			err = fmt.Errorf("%s: %w", first, err)
		}
	case errors.Is(err, rueidis.ErrClosing) && l.ctx.Err() != nil:
		err = errClosed
	case errors.As(err, &answered):
		text, _, _ := strings.Cut(answered.Error(), ", with args")
		err = errors.New(text)
	}
	return fmt.Errorf("redis %s: %w", l.name, err)
}
