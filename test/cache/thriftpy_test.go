package cache

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/codec"
	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/store/memcached"
	"github.com/thriftloom/thriftloom/store/redis"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/message"
)

// here is the path of a file beside the tests.
func here(name string) string { return filepath.Join(peertest.Root(), "test/cache", name) }

// pair starts two gateways that tell each other what is void, before a server of ThriftPy.
func pair(t *testing.T, l peertest.Library, stores string) (fronts [2]string) {
	t.Helper()
	peertest.Require(t)
	at := peertest.FreePort(t)
	peertest.Start(t, l.Python, here("server.py"), here("users.thrift"), at)
	udp := [2]string{peertest.FreeUDP(t), peertest.FreeUDP(t)}
	for i := range fronts {
		fronts[i] = peertest.FreePort(t)
		g := peertest.StartGatewayWith(t, gateway.Options{Stores: gateway.StoreClients{Redis: redis.Open, Memcached: memcached.Open}}, fmt.Sprintf(`
listen: %q
gateways: {listen: %q, peers: [%q], key: a key that only gateways know}
stores: {patience: 5s%s}
services:
  Users:
    idl: %q
    timeout: 10s
    upstream: {endpoints: [%q], slots: 16}
    methods:
      getUser: {cache: {ttl: 1h, tags: ["user:{id}"], exceptions: {NotFound: 1h}}}
      search: {cache: {ttl: 1h, key: [query]}}
      putUser: {cache: {invalidates: [getUser(user.id)]}}
      removeUser: {cache: {invalidates: ["tag:user:{id}", search]}}
`, fronts[i], udp[i], udp[1-i], stores, here("users.thrift"), at))
		g.AwaitReady(t, "")
	}
	return fronts
}

// transcript is what client.py says; asked is how often the server has been, by line.
func transcript(asked ...any) string {
	return fmt.Sprintf(`one by one: 1 user 1 [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
again: 1 user 1 [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
the other gateway: 1 user 1 [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
another id: 2 user 2 [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
an exception: NotFound 99; asked %d
again: NotFound 99; asked %d
a struct: 3; asked %d
in another order: 3; asked %d
another one: 3; asked %d
after a write: 1 Grace [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
on the other gateway: 1 Grace [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
a write that fails: NotFound -1
after that: 1 Grace [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
removed by way of the other: NotFound 2; asked %d
a oneway between: 1 Grace [('a', 1), ('b', 2)] ['x', 'y'] [('1 Main Street', 'Bremen')]; asked %d
`, asked...)
}

// Real ThriftPy callers, of both libraries and on each wire, are answered by two gateways as by their own server, and no more often by that than
// the cache has promised.
func TestThriftPy(t *testing.T) {
	shared, each := []any{1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0}, []any{1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0}
	for _, store := range []struct {
		name  string
		start func(t *testing.T) string
		asked []any
	}{
		{"near", func(*testing.T) string { return "" }, each},
		{"redis", func(t *testing.T) string { return fmt.Sprintf(", redis: %q", peertest.StartRedis(t).Address) }, shared},
		{"memcached", func(t *testing.T) string {
			return fmt.Sprintf(", memcached: [%q, %q, %q]", peertest.StartMemcached(t).Address, peertest.StartMemcached(t).Address, peertest.StartMemcached(t).Address)
		}, shared},
	} {
		for _, l := range peertest.Libraries {
			for _, w := range []string{"buffered", "framed", "compact"} {
				if l == peertest.ThriftPy && w == "compact" {
					continue // ThriftPy 0.3.9 cannot write compact since Python 3.9: it calls array.tostring
				}
				t.Run(strings.Join([]string{store.name, l.Name, w}, " "), func(t *testing.T) {
					fronts := pair(t, l, store.start(t))
					cmd := exec.Command(l.Python, "-W", "ignore", here("client.py"), here("users.thrift"), fronts[0], fronts[1], w)
					out, err := cmd.CombinedOutput()
					if want := transcript(store.asked...); err != nil || string(out) != want {
						t.Errorf("%v\n%s\nis wanted:\n%s", err, out, want)
					}
				})
			}
		}
	}
}

// A caller in compact, in frames, is answered with what one in plain binary has loaded, with its own sequence id and the name as it wrote it.
func TestCompactHitsWhatBinaryStored(t *testing.T) {
	fronts := pair(t, peertest.ThriftPy2, fmt.Sprintf(", redis: %q", peertest.StartRedis(t).Address))
	doc, err := schema.Load(here("users.thrift"), schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := doc.Service("Users").Method("getUser")
	args, err := codec.ParseJSON(codec.TypeOf(m.Args), []byte(`{"id": 7}`))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(at string, p wire.Protocol, framed bool, seqid int32) string {
		t.Helper()
		body, err := codec.AppendValue(nil, p, codec.TypeOf(m.Args), args)
		if err != nil {
			t.Fatal(err)
		}
		msg := append(message.AppendHead(nil, p, wire.Head{Name: "getUser", Type: wire.Call, Seq: seqid}, len(body)), body...)
		if framed {
			msg = append(binary.BigEndian.AppendUint32(nil, uint32(len(msg))), msg...)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 4096)
		n, err := io.ReadAtLeast(c, reply, 40) // both are longer than that, and come at once
		if err != nil {
			t.Fatal(err)
		}
		reply = reply[:n]
		if framed {
			reply = reply[4:]
		}
		head, ok, body, err := message.Parse(p, reply, wire.Limits{}, "")
		if err != nil || !ok || head.Name != "getUser" || head.Seq != seqid || head.Type != wire.Reply {
			t.Fatalf("%+v, %v", head, err)
		}
		v, _, err := codec.DecodeStruct(p, m.Result, body, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := codec.AppendJSON(nil, codec.TypeOf(m.Result), v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	plain := ask(fronts[0], wire.Binary, false, 5)
	for i, at := range fronts {
		if got := ask(at, wire.Compact, true, int32(77+i)); got != plain || !strings.Contains(got, `"user 7"`) {
			t.Errorf("%s, in binary %s", got, plain)
		}
	}
	loads := exec.Command(peertest.ThriftPy2.Python, "-W", "ignore", "-c", `
import sys, thriftpy2
from thriftpy2.rpc import make_client
host, _, port = sys.argv[2].rpartition(":")
print(make_client(thriftpy2.load(sys.argv[1], module_name="users_thrift").Users, host, int(port)).loads())`, here("users.thrift"), fronts[0])
	if out, err := loads.Output(); err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Errorf("the server was asked %s times, %v", out, err)
	}
}
