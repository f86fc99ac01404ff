package thriftloom_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/rpc"
)

const shopIDL = `
service Orders { i64 countOf(1: string name), string ping(), oneway void note(1: string text) }
service Stock { i64 left(1: string name), string ping() }
`

type orders struct{ wait time.Duration }

func (o orders) CountOf(ctx context.Context, name string) (int64, error) {
	if name == "slow" {
		select {
		case <-time.After(o.wait):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return int64(len(name)), nil
}
func (orders) Ping(context.Context) (string, error)     { return "orders", nil }
func (orders) Note(ctx context.Context, _ string) error { return nil }

type stock struct{}

func (stock) Left(_ context.Context, name string) (int64, error) { return -int64(len(name)), nil }
func (stock) Ping(context.Context) (string, error)               { return "stock", nil }

type ordersClient struct {
	CountOf func(ctx context.Context, name string) (int64, error)
	Ping    func(ctx context.Context) (string, error)
	Note    func(ctx context.Context, text string) error
}

type stockClient struct {
	Left func(ctx context.Context, name string) (int64, error)
	Ping func(ctx context.Context) (string, error)
}

func shop(t testing.TB) *thriftloom.Document {
	t.Helper()
	doc, err := thriftloom.LoadBytes("shop.thrift", []byte(shopIDL))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// counting is a listener that counts connections.
type counting struct {
	net.Listener
	mu    sync.Mutex
	count int
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.count++
		l.mu.Unlock()
	}
	return c, err
}

func (l *counting) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// serveShop serves both services at one port until the test ends.
func serveShop(t testing.TB, wait time.Duration) *counting {
	t.Helper()
	doc := shop(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &counting{Listener: inner}
	s, err := thriftloom.NewServer(doc.Service("Orders"), orders{wait})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add("warehouse", doc.Service("Stock"), stock{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l
}

// dialShop binds a client of the service to target.
func dialShop(t testing.TB, cfg thriftloom.ClientConfig, service string, target any) {
	t.Helper()
	c, err := cfg.Dial(shop(t).Service(service))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := thriftloom.Bind(c, target); err != nil {
		t.Fatal(err)
	}
}

// Goroutines call over one connection, and none waits for another's call.
func TestCallsShareOneConnection(t *testing.T) {
	l := serveShop(t, 200*time.Millisecond)
	var client ordersClient
	dialShop(t, thriftloom.ClientConfig{Addresses: []string{l.Addr().String()}}, "Orders", &client)
	start := time.Now()
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			if n, err := client.CountOf(context.Background(), "slow"); err != nil || n != 4 {
				t.Errorf("%d, %v", n, err)
			}
			if err := client.Note(context.Background(), "a oneway"); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("100 calls of 200ms took %v", d)
	}
	if n := l.accepted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A client may ask for nothing of the kind.
func TestSerialClient(t *testing.T) {
	l := serveShop(t, 20*time.Millisecond)
	var client ordersClient
	dialShop(t, thriftloom.ClientConfig{Addresses: []string{l.Addr().String()}, Serial: true, Connections: 4}, "Orders", &client)
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			if _, err := client.CountOf(context.Background(), "slow"); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := l.accepted(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}

// Two services at one port: by name, by a method that one of them has, and the first one's by a method that both have. What there is not is
// an exception, and the connection goes on.
func TestSeveralServicesAtOnePort(t *testing.T) {
	l := serveShop(t, 0)
	to := thriftloom.ClientConfig{Addresses: []string{l.Addr().String()}}
	under := func(name string) thriftloom.ClientConfig {
		c := to
		c.Multiplexed = name
		return c
	}
	var o ordersClient
	var s, bare stockClient
	dialShop(t, under("Orders"), "Orders", &o)
	dialShop(t, under("warehouse"), "Stock", &s)
	dialShop(t, to, "Stock", &bare)
	ctx := context.Background()
	if n, err := o.CountOf(ctx, "abc"); n != 3 || err != nil {
		t.Errorf("Orders:countOf: %d, %v", n, err)
	}
	for who, ping := range map[string]func(context.Context) (string, error){"orders": o.Ping, "stock": s.Ping} {
		if got, err := ping(ctx); got != who || err != nil {
			t.Errorf("ping of %s: %q, %v", who, got, err)
		}
	}
	if n, err := bare.Left(ctx, "abc"); n != -3 || err != nil {
		t.Errorf("left: %d, %v", n, err)
	}
	if got, err := bare.Ping(ctx); got != "orders" || err != nil {
		t.Errorf("a bare ping: %q, %v; want the first service's", got, err)
	}
	var lost, mixed stockClient
	dialShop(t, under("nobody"), "Stock", &lost)
	dialShop(t, under("Orders"), "Stock", &mixed)
	for range 2 {
		for name, left := range map[string]func(context.Context, string) (int64, error){"no service": lost.Left, "no method": mixed.Left} {
			_, err := left(ctx, "abc")
			var e *thriftloom.Error
			if !errors.As(err, &e) || e.Code != rpc.UnknownMethod || e.Reach != rpc.Answered {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n := l.accepted(); n != 5 {
		t.Errorf("%d connections, want one for each of five clients", n)
	}
	server, err := thriftloom.NewServer(shop(t).Service("Orders"), orders{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Add("Orders", shop(t).Service("Stock"), stock{}); err == nil {
		t.Error("one name for two services")
	}
	if err := server.Add("", shop(t).Service("Stock"), orders{}); err == nil {
		t.Error("an implementation that does not fit")
	}
}

// A client speaks as it is told, in whatever is built, and values are the same.
func TestTransportsAndProtocolsOfClients(t *testing.T) {
	l := serveShop(t, 0)
	built := 0
	for _, transport := range []thriftloom.Transport{0, thriftloom.Buffered, thriftloom.Framed} {
		for _, protocol := range []thriftloom.Protocol{0, thriftloom.Binary, thriftloom.Compact, thriftloom.JSON, thriftloom.ApacheJSON} {
			cfg := thriftloom.ClientConfig{
				Addresses: []string{l.Addr().String()}, Transport: transport, Protocol: protocol, Multiplexed: "Orders",
			}
			c, err := cfg.Dial(shop(t).Service("Orders"))
			if err != nil {
				continue
			}
			built++
			var client ordersClient
			if err := thriftloom.Bind(c, &client); err != nil {
				t.Fatal(err)
			}
			if n, err := client.CountOf(context.Background(), "abcde"); n != 5 || err != nil {
				t.Errorf("%s, %s: %d, %v", transport, protocol, n, err)
			}
			c.Close()
		}
	}
	if built < 9 {
		t.Errorf("%d pairs are built, want binary and compact at least", built)
	}
	if _, err := (thriftloom.ClientConfig{Addresses: []string{"a:1"}, Protocol: 99}).Dial(shop(t).Service("Orders")); err == nil {
		t.Error("a protocol that is none")
	}
}

// A context that ends ends its call at once, and no other; the connection goes on.
func TestCancelledCallIsInNobodysWay(t *testing.T) {
	doc := shop(t)
	synctest.Test(t, func(t *testing.T) {
		c, err := thriftloom.Pair(doc.Service("Orders"), orders{10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var client ordersClient
		if err := thriftloom.Bind(c, &client); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%2 == 0 {
					time.AfterFunc(time.Duration(i)*time.Second/2, cancel)
				}
				_, err := client.CountOf(ctx, "slow")
				if took := time.Since(start); i%2 == 0 && (err == nil || took != time.Duration(i)*time.Second/2) || i%2 == 1 && (err != nil || took != 10*time.Second) {
					t.Errorf("call %d: %v after %v", i, err, took)
				}
			})
		}
		calls.Wait()
	})
}

// Callers that go at any moment, thousands of times, leave nothing behind: each call ends in its own time and way, and the connection
// serves on.
func TestCallersThatGoAtAnyMoment(t *testing.T) {
	for range 3 {
		seed := time.Now().UnixNano()
		synctest.Test(t, func(t *testing.T) {
			doc, wait := shop(t), 5*time.Millisecond
			c, err := thriftloom.Pair(doc.Service("Orders"), orders{wait})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var client ordersClient
			if err := thriftloom.Bind(c, &client); err != nil {
				t.Fatal(err)
			}
			var calls sync.WaitGroup
			for g := range 32 {
				random := rand.New(rand.NewPCG(uint64(seed), uint64(g)))
				calls.Go(func() {
					for range 100 {
						patience := time.Duration(random.Int64N(int64(2 * wait)))
						ctx, cancel := context.WithCancel(t.Context())
						if random.IntN(2) == 0 {
							ctx, cancel = context.WithTimeout(ctx, patience)
						} else {
							time.AfterFunc(patience, cancel)
						}
						start := time.Now()
						_, err := client.CountOf(ctx, "slow")
						took := time.Since(start)
						cancel()
						switch {
						case err == nil && took == wait:
						case err != nil && took <= patience && patience <= wait && ctx.Err() != nil:
						default:
							t.Errorf("seed %d: patience %v: %v after %v", seed, patience, err, took)
						}
					}
				})
			}
			calls.Wait()
			if n, err := client.CountOf(t.Context(), "abc"); n != 3 || err != nil {
				t.Errorf("seed %d: in the end: %d, %v", seed, n, err)
			}
		})
	}
}

// What many goroutines gain from one shared connection, against 16 with one call in flight each.
func BenchmarkGoroutines(b *testing.B) {
	for _, serial := range []bool{false, true} {
		name := "connection=shared"
		if serial {
			name = "connection=serial16"
		}
		b.Run(name, func(b *testing.B) {
			l := serveShop(b, 0)
			var client ordersClient
			dialShop(b, thriftloom.ClientConfig{Addresses: []string{l.Addr().String()}, Serial: serial}, "Orders", &client)
			if _, err := client.CountOf(context.Background(), "abc"); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			work := make(chan struct{}, 64)
			var calls sync.WaitGroup
			for range 64 {
				calls.Go(func() {
					for range work {
						if _, err := client.CountOf(context.Background(), "abc"); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			calls.Wait()
		})
	}
}
