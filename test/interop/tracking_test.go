package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
)

// tracker is one that may track: a ThriftPy, plain or tracked, or Go.
type tracker struct {
	name    string
	library peertest.Library // none for Go
	level   int
	compact bool
}

var trackers = []tracker{
	{"plain", peertest.ThriftPy2, 0, false}, {"v1", peertest.ThriftPy, 1, false}, {"v2", peertest.ThriftPy2, 2, false},
	{"v2-compact", peertest.ThriftPy2, 2, true}, {"go", peertest.Library{}, 2, false}, // 0.3.9's compact is broken
}

func trackerNamed(name string) tracker {
	return trackers[slices.IndexFunc(trackers, func(x tracker) bool { return x.name == name })]
}

func (x tracker) flags() (all []string) {
	if x.level == 0 {
		all = append(all, "--plain")
	}
	if x.compact {
		all = append(all, "--protocol", "compact")
	}
	return all
}

func (x tracker) protocol() string {
	if x.compact {
		return "compact"
	}
	return "binary"
}

func (x tracker) isGo() bool { return x.library.Name == "" }

// Barred is the exception of chain.thrift.
type Barred struct{ Reason string }

func (e *Barred) Error() string { return e.Reason }

func chainService(t testing.TB) *thriftloom.Service {
	t.Helper()
	doc, err := thriftloom.Load(peertest.File("chain.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Service("Chain")
}

// chainClient is a Go client of Chain.
type chainClient struct {
	Ping   func(ctx context.Context) error
	Follow func(ctx context.Context, depth int32) ([]string, error)
	Refuse func(ctx context.Context, reason string) (string, error)
	Crash  func(ctx context.Context, reason string) (string, error)
	Fail   func(ctx context.Context, reason string) (string, error)
	Note   func(ctx context.Context, word string) error
	Noted  func(ctx context.Context) ([]string, error)
}

func dialChain(t testing.TB, address string, kind transport.Kind, app string) *chainClient {
	t.Helper()
	c, err := thriftloom.ClientConfig{
		Addresses: []string{address}, Framed: kind == transport.Framed, Tracking: app, Connections: 1, Timeout: 10 * time.Second,
	}.Dial(chainService(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client := new(chainClient)
	if err := thriftloom.Bind(c, client, thriftloom.Exceptions((*Barred)(nil))); err != nil {
		t.Fatal(err)
	}
	return client
}

// chain is the service in Go.
type chain struct {
	next  *chainClient
	mu    sync.Mutex
	words []string
}

func (c *chain) Ping(context.Context) error { return nil }

func (c *chain) Follow(ctx context.Context, depth int32) ([]string, error) {
	seen := []string{"plain"}
	if t := thriftloom.TrackingFrom(ctx); t != nil {
		var meta []string
		for k, v := range t.Meta() {
			meta = append(meta, k+"="+v)
		}
		slices.Sort(meta)
		seen[0] = t.RequestID() + "|" + t.Seq() + "|" + strings.Join(meta, ",")
		t.AddReplyMeta("by", "go")
	}
	if depth <= 1 {
		return seen, nil
	}
	more, err := c.next.Follow(ctx, depth-1)
	return append(seen, more...), err
}

func (c *chain) Refuse(_ context.Context, reason string) (string, error) {
	return "", &Barred{reason}
}

func (c *chain) Crash(_ context.Context, reason string) (string, error) {
	return "", errors.New(reason)
}

func (c *chain) Fail(_ context.Context, reason string) (string, error) { panic(reason) }

func (c *chain) Note(_ context.Context, word string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.words = append(c.words, word)
	return nil
}

func (c *chain) Noted(context.Context) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.words), nil
}

// serve serves Chain until the test ends; next is where its own calls go, "" for nowhere.
func (x tracker) serve(t testing.TB, kind transport.Kind, next string) string {
	t.Helper()
	if x.isGo() {
		impl := new(chain)
		if next != "" {
			impl.next = dialChain(t, next, kind, "go")
		}
		s, err := thriftloom.NewServer(chainService(t), impl, thriftloom.Exceptions((*Barred)(nil)))
		if err != nil {
			t.Fatal(err)
		}
		return peertest.ServeGo(t, s)
	}
	address := peertest.FreePort(t)
	args := []string{peertest.File("tracking_peer.py"), "serve", "--library", x.library.Name, "--transport", kind.String(), "--next", next}
	args = append(args, x.flags()...)
	p := peertest.Start(t, x.library.Python, append(args, address)...)
	if x.compact {
		awaitOpen(t, address)
		return address
	}
	peertest.Await(t, address, kind, p)
	return address
}

// awaitOpen returns when a port is open: a probe in binary would not be answered.
func awaitOpen(t testing.TB, address string) {
	t.Helper()
	peertest.Eventually(t, "the server listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// told is what came of a client's cases: a result as JSON has it, or an error by its kind.
type told struct {
	Follow  [][]string          `json:"follow"`
	Answers []map[string]string `json:"answers"` // meta of the replies
	Refuse  []any               `json:"refuse"`
	Noted   bool                `json:"noted"` // what a oneway said is there
	Missing []any               `json:"missing"`
	Crash   []any               `json:"crash"`
	Fail    []any               `json:"fail"`
}

// call runs the client's cases against a server.
func (x tracker) call(t testing.TB, kind transport.Kind, address string, depth int) (out told) {
	t.Helper()
	if x.isGo() {
		return callChain(t, kind, address, depth)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := []string{peertest.File("tracking_peer.py"), "call", "--library", x.library.Name, "--transport", kind.String(), "--depth", fmt.Sprint(depth)}
	args = append(args, x.flags()...)
	text, err := exec.CommandContext(ctx, x.library.Python, append(args, address)...).Output()
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			text = exit.Stderr
		}
		t.Fatalf("tracking_peer.py: %v\n%s", err, text)
	}
	return out
}

func callChain(t testing.TB, kind transport.Kind, address string, depth int) (out told) {
	t.Helper()
	c := dialChain(t, address, kind, "go")
	ctx := thriftloom.WithMeta(context.Background(), map[string]string{"who": "client"})
	for range 2 {
		seen, err := c.Follow(ctx, int32(depth))
		if err != nil {
			t.Fatal(err)
		}
		out.Follow = append(out.Follow, seen)
	}
	if depth > 1 {
		return out
	}
	_, err := c.Refuse(ctx, "no")
	out.Refuse = []any{kindOfError(err), kindOfError(c.Ping(ctx))}
	word := fmt.Sprint("word ", time.Now().UnixNano())
	if err := c.Note(ctx, word); err != nil {
		t.Error(err)
	}
	peertest.Eventually(t, "the word is noted", func() bool { // what follows a oneway through a gateway may overtake it
		words, err := c.Noted(ctx)
		out.Noted = err == nil && slices.Contains(words, word)
		return out.Noted
	})
	_, err = c.Crash(ctx, "bad")
	out.Crash = []any{kindOfError(err), kindOfError(c.Ping(ctx))}
	_, err = c.Fail(ctx, "bad")
	out.Fail = []any{kindOfError(err), kindOfError(c.Ping(ctx))}
	return out
}

// kindOfError names an error as tracking_peer.py does, as far as it can be.
func kindOfError(err error) any {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Barred](err); ok {
		return "Barred " + e.Reason
	}
	if e, ok := errors.AsType[*thriftloom.Error](err); ok && e.Peer != nil {
		return fmt.Sprintf("TApplicationException %d", e.Peer.Type)
	}
	return err.Error()
}

// check says what is wrong with what a client was told by a server, through the gateway or directly.
func (out told) check(t *testing.T, client, server tracker, proxied bool) {
	t.Helper()
	for i, seen := range out.Follow {
		parts := strings.Split(seen[0], "|")
		switch tracked := server.level > 0 && (client.level > 0 || proxied); {
		case len(seen) != 1:
			t.Errorf("the server saw %q", seen)
		case !tracked && seen[0] != "plain":
			t.Errorf("call %d is %q to the server, want plain", i, seen[0])
		case !tracked:
		case len(parts) != 3 || parts[0] == "":
			t.Errorf("call %d is %q to the server, want a request id", i, seen[0])
		case client.level == 0 && parts[1]+parts[2] != "1", client.isGo() && parts[1]+parts[2] != "1who=client",
			client.level > 0 && !client.isGo() && parts[1]+parts[2] != fmt.Sprint(i+1)+"who=client":
			t.Errorf("call %d is %q to the server", i, seen[0])
		}
	}
	if client.level == 2 && !client.isGo() && server.level == 2 {
		by := map[string]string{"by": map[bool]string{true: "go", false: "thriftpy2"}[server.isGo()]}
		if d := cmp.Diff([]map[string]string{by, by}, out.Answers); d != "" {
			t.Errorf("the replies' meta: %s", d)
		}
	}
	if d := cmp.Diff([]any{"Barred no", nil}, out.Refuse); d != "" {
		t.Errorf("refuse, then ping: %s", d)
	}
	if !out.Noted {
		t.Error("what the oneway said is not there")
	}
	if client.isGo() {
		for name, got := range map[string][]any{"crash": out.Crash, "fail": out.Fail} {
			if text, _ := got[0].(string); text == "" || strings.Contains(text, "no reply in time") || got[1] != nil {
				t.Errorf("%s, then ping: %v", name, got)
			}
		}
		return
	}
	if d := cmp.Diff([]any{"TApplicationException 1", nil}, out.Missing); d != "" {
		t.Errorf("missing, then ping: %s", d)
	}
	if d := cmp.Diff([]any{"TApplicationException 6", nil}, out.Crash); d != "" {
		t.Errorf("crash, then ping: %s", d)
	}
	want := []any{"TApplicationException 6", nil}
	if server.name == "plain" { // a tracked one closes the connection
		want[0] = "TApplicationException 42"
	}
	if d := cmp.Diff(want, out.Fail); d != "" {
		t.Errorf("fail, then ping: %s", d)
	}
}

// Whatever level a client and a server track at, through the gateway or with Go on either side: headers go as far as both take them, and
// each kind of answer comes, exceptions too.
func TestTracking(t *testing.T) {
	peertest.Require(t)
	for _, kind := range kindsOfTransport {
		addresses, file := map[string]string{}, new(strings.Builder)
		file.WriteString("defaults: {timeout: 10s}\nservices:\n")
		for _, s := range trackers {
			direct, front := s.serve(t, kind, ""), peertest.FreePort(t)
			addresses[s.name], addresses["gateway-"+s.name] = direct, front
			fmt.Fprintf(file, "  %s: {service: Chain, idl: %s, listen: %q, upstream: {endpoints: [%q], server: threaded, slots: 16, transport: %v, protocol: %s, tracking: gateway}}\n",
				s.name, peertest.File("chain.thrift"), front, direct, kind, s.protocol())
		}
		peertest.StartGateway(t, file.String())
		for _, c := range trackers {
			for _, s := range trackers {
				if s.isGo() || c.isGo() && !s.compact {
					t.Run(fmt.Sprintf("%v/direct/%s to %s", kind, c.name, s.name), func(t *testing.T) {
						c.call(t, kind, addresses[s.name], 1).check(t, c, s, false)
					})
				}
				t.Run(fmt.Sprintf("%v/gateway/%s to %s", kind, c.name, s.name), func(t *testing.T) {
					c.call(t, kind, addresses["gateway-"+s.name], 1).check(t, c, s, true)
				})
			}
		}
	}
}

// A chain three deep has one request id, sequence numbers that nest and meta that is inherited, in whatever language its links are, with
// the gateway between them and without: the gateway is no link.
func TestTrackingChains(t *testing.T) {
	peertest.Require(t)
	for _, kind := range kindsOfTransport {
		for _, links := range []string{"go go go", "v1 go v2", "v2 v1 go", "go v2 v1", "v2 v2 v2"} {
			for _, proxied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v/%s/gateway=%t", kind, links, proxied), func(t *testing.T) {
					next := ""
					for _, name := range slices.Backward(strings.Fields(links)) {
						next = trackerNamed(name).serve(t, kind, next)
						if proxied {
							front := peertest.FreePort(t)
							peertest.StartGateway(t, fmt.Sprintf(
								"services:\n  Chain: {idl: %s, listen: %q, upstream: {endpoints: [%q], server: threaded, transport: %v, tracking: gateway}}\n",
								peertest.File("chain.thrift"), front, next, kind))
							next = front
						}
					}
					c := trackerNamed("v2")
					if strings.HasPrefix(links, "v2 v1") {
						c = trackerNamed("go")
					}
					seen := c.call(t, kind, next, 3).Follow[0]
					id, _, _ := strings.Cut(seen[0], "|")
					if d := cmp.Diff([]string{id + "|1|who=client", id + "|1.1|who=client", id + "|1.1.1|who=client"}, seen); d != "" || id == "" {
						t.Errorf("the links saw: %s", d)
					}
				})
			}
		}
	}
}
