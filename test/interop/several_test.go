package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

const shopIDL = `
service Orders { i64 countOf(1: string name), string ping() }
service Stock { i64 left(1: string name), string ping() }
`

type orders struct{ inFlight, most *atomic.Int64 }

func (o orders) CountOf(_ context.Context, name string) (int64, error) {
	n := o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	for most := o.most.Load(); n > most && !o.most.CompareAndSwap(most, n); most = o.most.Load() {
	}
	if name == "slow" {
		time.Sleep(300 * time.Millisecond)
	}
	return int64(len(name)), nil
}
func (orders) Ping(context.Context) (string, error) { return "orders", nil }

type stock struct{}

func (stock) Left(_ context.Context, name string) (int64, error) { return -int64(len(name)), nil }
func (stock) Ping(context.Context) (string, error)               { return "stock", nil }

// accepts counts the connections of a listener.
type accepts struct {
	net.Listener
	n atomic.Int64
}

func (l *accepts) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// shop is a Go server of two services at one port.
type shop struct {
	doc      *thriftloom.Document
	idl      string // path
	listener *accepts
	orders   orders
}

func serveShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{idl: filepath.Join(t.TempDir(), "shop.thrift"), orders: orders{new(atomic.Int64), new(atomic.Int64)}}
	if err := os.WriteFile(s.idl, []byte(shopIDL), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.doc, err = thriftloom.Load(s.idl); err != nil {
		t.Fatal(err)
	}
	server, err := thriftloom.NewServer(s.doc.Service("Orders"), s.orders)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Add("", s.doc.Service("Stock"), stock{}); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = &accepts{Listener: inner}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, s.listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *shop) address() string { return s.listener.Addr().String() }

// gateway starts one with both services behind one port, before the shop, and returns its address.
func (s *shop) gateway(t *testing.T, upstream string) string {
	t.Helper()
	address := peertest.FreePort(t)
	up := fmt.Sprintf("upstream: {endpoints: [%q], %s}", s.address(), upstream)
	g := peertest.StartGateway(t, fmt.Sprintf("listen: [%q]\ndefaults: {timeout: 30s}\nservices:\n"+
		"  Orders: {idl: %[2]s, %[3]s}\n  Stock: {idl: %[2]s, %[3]s}\n", address, s.idl, up))
	g.AwaitReady(t, "")
	return address
}

// shopper calls both services as a multiplexed ThriftPy client does, each on a connection of its own, and one that there is not.
const shopper = `
import importlib, sys
name, idl, host, port = sys.argv[1:]
library = importlib.import_module(name)
load = library.load(idl, module_name="shop_thrift")
rpc = importlib.import_module(name + ".rpc")
multiplex = importlib.import_module(name + ".protocol.multiplex").TMultiplexedProtocolFactory
binary = importlib.import_module(name + ".protocol").TCyBinaryProtocolFactory
thrift = importlib.import_module(name + ".thrift")

def client(service, as_name):
    return rpc.client_context(getattr(load, service), host, int(port), timeout=10000, proto_factory=multiplex(binary(), as_name))

with client("Orders", "Orders") as orders, client("Stock", "Stock") as stock:
    for _ in range(3):
        assert orders.countOf("abc") == 3
        assert stock.left("abcd") == -4
        assert (orders.ping(), stock.ping()) == ("orders", "stock")
for service, as_name in ("Orders", "Nobody"), ("Orders", "Stock"):
    with client(service, as_name) as lost:
        for _ in range(2):  # the connection goes on
            try:
                lost.countOf("abc")
                raise SystemExit("%s:countOf was answered" % as_name)
            except thrift.TApplicationException as e:
                assert e.type == 1, e.type
print("done")
`

// Multiplexed ThriftPy clients find each of two Go services at one port, directly and behind a gateway whose upstream is multiplexed too.
func TestMultiplexedCallersOfSeveralServices(t *testing.T) {
	peertest.Require(t)
	s := serveShop(t)
	serial, concurrent := s.gateway(t, "server: threaded, multiplexed: true"), s.gateway(t, "server: concurrent, multiplexed: true")
	for _, l := range peertest.Libraries {
		for where, address := range map[string]string{"direct": s.address(), "threaded": serial, "concurrent": concurrent} {
			t.Run(l.Name+"/"+where, func(t *testing.T) {
				host, port, _ := net.SplitHostPort(address)
				out, err := exec.Command(l.Python, "-W", "ignore", "-c", shopper, l.Name, s.idl, host, port).CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done") {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// Behind a gateway with server: concurrent hundreds of calls are at work at one time, over few connections on both of its sides.
func TestManyCallsThroughAGatewayOverFewConnections(t *testing.T) {
	s := serveShop(t)
	address := s.gateway(t, "server: concurrent, multiplexed: true")
	c, err := thriftloom.ClientConfig{Addresses: []string{address}, Multiplexed: "Orders"}.Dial(s.doc.Service("Orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var client struct {
		CountOf func(ctx context.Context, name string) (int64, error)
	}
	if err := thriftloom.Bind(c, &client); err != nil {
		t.Fatal(err)
	}
	before := s.listener.n.Load()
	var calls sync.WaitGroup
	for range 250 {
		calls.Go(func() {
			if n, err := client.CountOf(context.Background(), "slow"); n != 4 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
	calls.Wait()
	if n := s.orders.most.Load(); n < 129 {
		t.Errorf("%d calls at one time: no more than one connection holds", n)
	}
	if n := s.listener.n.Load() - before; n > 4 { // two of each service
		t.Errorf("%d connections were made", n)
	}
}
