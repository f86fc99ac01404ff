//go:build linux

package hostile

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom/internal/peertest"
	"github.com/thriftloom/thriftloom/transport"
	"github.com/thriftloom/thriftloom/wire"
	"github.com/thriftloom/thriftloom/wire/binary"
)

// budget is max_buffered_bytes of the program under attack, and allowance what its process may take besides, both in bytes.
const (
	budget    = 64 << 20
	allowance = 64 << 20
)

// TestProgram runs the real program with real servers behind it, ThriftPy2 0.7.1 and ThriftPy 0.3.9, and throws everything at it. The
// same processes answer afterwards, and the gateway's never had more memory than it may buffer and 64 MiB.
func TestProgram(t *testing.T) {
	peertest.Require(t)
	p := startProgram(t)
	pids := p.pids(t)
	t.Run("every row", p.everyRow)
	t.Run("cut at random", p.cutAtRandom)
	t.Run("memory", p.memory)
	for i, now := range p.pids(t) {
		if now != pids[i] {
			t.Errorf("service %d: process %d answers, and it was %d", i, now, pids[i])
		}
	}
	if !strings.Contains(p.up.Output(), "ready: ") || p.peak(t) > budget+allowance {
		t.Errorf("the gateway's memory was %d bytes at its peak, want %d at most", p.peak(t), budget+allowance)
	}
	t.Logf("peak memory %.1f MiB, of which %d MiB may be buffered; processes %v", float64(p.peak(t))/(1<<20), budget>>20, pids)
}

// attacked is the program with a listener for each library.
type attacked struct {
	up *peertest.Process
	at []string // by library; the last is that of a service which is not attacked, on the same gateway
}

func startProgram(t *testing.T) *attacked {
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "thriftloom")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/thriftloom/thriftloom/cmd/thriftloom").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := &attacked{}
	config := fmt.Sprintf("max_buffered_bytes: %d\nlogs: {level: error}\ndefaults: {timeout: 20s, queue: {max_wait: 20s}}\nservices:\n", budget)
	for i, l := range append(peertest.Libraries[:2:2], peertest.ThriftPy2) {
		at := peertest.FreePort(t)
		p.at = append(p.at, at)
		config += fmt.Sprintf("  %s%d: {service: Kinds, idl: %q, listen: %q, upstream: {server: threaded, run: {command: [%q, %q, --library, %s, \"{socket}\"]}}}\n",
			l.Name, i, peertest.File("kinds.thrift"), at, l.Python, peertest.File("server.py"), l.Name)
	}
	path := filepath.Join(dir, "thriftloom.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.up = peertest.Start(t, program, "up", "-c", path)
	for _, at := range p.at {
		peertest.Await(t, at, transport.Buffered, p.up)
	}
	peertest.Eventually(t, "the program is ready", func() bool { return strings.Contains(p.up.Output(), "ready: ") })
	return p
}

// dial connects a caller to the program.
func (p *attacked) dial(t *testing.T, library int, f form) *caller {
	return (&door{at: p.at[library]}).caller(t, f)
}

// pids are the processes that answer, by library.
func (p *attacked) pids(t *testing.T) (pids []int) {
	t.Helper()
	for i := range p.at {
		c := p.dial(t, i, forms[0])
		m, err := c.ask("pid", 1, []byte{0})
		if err != nil || m.Head.Type != wire.Reply || len(m.Body) < 7 {
			t.Fatalf("pid: %+v %q, %v", m.Head, m.Body, err)
		}
		r := binary.Reader{Buf: m.Body, Pos: 3}
		pid, _ := r.I32()
		pids = append(pids, int(pid))
	}
	return pids
}

// ask makes one call.
func (c *caller) ask(method string, seq int32, args []byte) (transport.Message, error) {
	if _, err := c.Write(c.message(wire.Head{Name: method, Seq: seq, Type: wire.Call}, args)); err != nil {
		return transport.Message{}, err
	}
	return c.read()
}

// peak is the most memory that the gateway's process had, in bytes, as the kernel counts it.
func (p *attacked) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.up.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, _ := strconv.Atoi(f[1])
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// everyRow throws each row in each form at both; the servers know other methods with names as long.
func (p *attacked) everyRow(t *testing.T) {
	thrown := 0
	for library := range peertest.Libraries {
		for _, r := range rows() {
			for _, f := range forms {
				c := p.dial(t, library, f)
				hostile := bytes.ReplaceAll(r.bytes(f), []byte("\x00\x00\x00\x03get"), []byte("\x00\x00\x00\x03big"))
				hostile = bytes.ReplaceAll(hostile, []byte("\x00\x00\x00\x03put"), []byte("\x00\x00\x00\x03pid"))
				_, _ = c.Write(hostile)
				_ = c.Conn.(*net.TCPConn).CloseWrite()
				if _, err := io.ReadAll(c); timedOut(err) {
					t.Errorf("%s, %s: the connection stays open", r.name, f)
				}
				_ = c.Close()
				thrown++
			}
		}
	}
	t.Logf("%d thrown", thrown)
}

// cutAtRandom throws real messages that are cut off, or are not what they were.
func (p *attacked) cutAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random, all := rand.New(rand.NewPCG(seed, 0)), vectors(t)
	for n := range 2000 {
		v := all[random.IntN(len(all))]
		b := bytes.Clone(v.bytes)
		if n%2 == 0 {
			b = b[:random.IntN(len(b))]
		} else {
			b[random.IntN(len(b))] ^= byte(1 << random.IntN(8))
		}
		if bytes.Contains(b, []byte("sleep")) || bytes.Contains(b, []byte("big")) {
			continue // a flipped bit may ask for hours, or for gigabytes, in good form
		}
		c := p.dial(t, n%len(peertest.Libraries), v.form)
		_, _ = c.Write(b)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(c); timedOut(err) {
			t.Fatalf("the connection stays open after %x", b)
		}
		_ = c.Close()
	}
}

// memory floods the program with half-sent long requests, whole ones, long answers that are read and long answers that nobody reads, all
// at once, while good callers go on.
func (p *attacked) memory(t *testing.T) {
	before := p.peak(t)
	end := time.Now().Add(15 * time.Second)
	var all sync.WaitGroup
	var pings, quiet, long, refused atomic.Int64
	text := strings.Repeat("x", 12_000_000)
	request := binary.AppendStop(binary.AppendString(binary.AppendField(nil, wire.String, 1), text))
	bytesOf := func(n int32) []byte {
		return binary.AppendStop(binary.AppendI32(binary.AppendField(nil, wire.I32, 1), n))
	}
	attack := func(n int, once func(c *caller)) {
		for i := range n {
			all.Go(func() {
				for time.Now().Before(end) {
					c := p.connect(t, i%len(peertest.Libraries), forms[(i/2)%len(forms)])
					if c == nil {
						continue
					}
					once(c)
					_ = c.Close()
				}
			})
		}
	}
	attack(24, func(c *caller) { // most of a long request, and then nothing
		whole := c.message(wire.Head{Name: "echoString", Seq: 1, Type: wire.Call}, request)
		_, _ = c.Write(whole[:8_000_000])
		time.Sleep(3 * time.Second)
	})
	attack(24, func(c *caller) { // long answers, never read
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		for seq := range int32(8) {
			_, _ = c.Write(c.message(wire.Head{Name: "big", Seq: seq, Type: wire.Call}, bytesOf(6_000_000)))
		}
		time.Sleep(3 * time.Second)
	})
	attack(8, func(c *caller) { // long answers and long requests in good order, which may be refused in words
		for _, ask := range []struct {
			method string
			args   []byte
		}{{"big", bytesOf(10_000_000)}, {"echoString", request}} {
			m, err := c.ask(ask.method, 1, ask.args)
			switch {
			case err != nil:
				return
			case m.Head.Type == wire.Reply:
				long.Add(1)
			case strings.Contains(string(m.Body), "RESOURCE_EXHAUSTED"):
				refused.Add(1)
			case strings.Contains(string(m.Body), "DEADLINE_EXCEEDED"), strings.Contains(string(m.Body), "UNAVAILABLE"):
				// The servers make one long answer at a time, and close after three seconds in which they could write none of it.
			default:
				t.Errorf("%s: %q", ask.method, m.Body)
			}
		}
	})
	attack(8, func(c *caller) { _, _ = c.Write([]byte("\x7f\xff\xff\xff\x80\x01\x00\x01")) })
	for i := range p.at {
		all.Go(func() {
			c := p.dial(t, i, forms[i])
			for seq := int32(1); time.Now().Before(end); seq++ {
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				m, err := c.ask("ping", seq, []byte{0})
				attacked := i < len(peertest.Libraries) // its servers are busy: a call may be refused in words
				switch {
				case err != nil || m.Head.Seq != seq || m.Head.Type != wire.Reply && !attacked:
					t.Errorf("a good call: %+v %q, %v", m.Head, m.Body, err)
					return
				case attacked && code(t, m) == "":
					pings.Add(1)
				case !attacked:
					quiet.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("memory %d MiB before, %d MiB at the peak; %d good short calls, %d of a service that is left alone, %d long ones, %d refused",
		before>>20, p.peak(t)>>20, pings.Load(), quiet.Load(), long.Load(), refused.Load())
	if quiet.Load() == 0 || long.Load() == 0 || refused.Load() == 0 {
		t.Error("the flood was none, or nobody else was served")
	}
}

// connect is dial for a crowd; nil where the system has no more connections to give.
func (p *attacked) connect(t *testing.T, library int, f form) *caller {
	nc, err := dialer().Dial("tcp", p.at[library])
	if err != nil {
		time.Sleep(10 * time.Millisecond)
		return nil
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	return newCaller(nc, f)
}
