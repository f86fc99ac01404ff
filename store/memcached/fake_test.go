package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/internal/memnet"
	"github.com/thriftloom/thriftloom/layer/cache"
)

// fake is a server that knows epochs, and answers all else as a test says.
type fake struct {
	network *memnet.Network
	epochs  map[string]string
	// answer is given a command's verb and the opaque number that has to be sent back. "" is no answer.
	answer func(verb, opaque string) string
	slow   time.Duration // until it makes an epoch
	dials  atomic.Int64
}

const fakeAddress = "cache:11211"

// open returns a store over it. Inside a bubble.
func (f *fake) open(t *testing.T) *Store {
	t.Helper()
	f.network, f.epochs = memnet.New(), map[string]string{}
	s := must(newStore(Config{Addresses: []string{fakeAddress}, Connections: 1}, func(ctx context.Context, _, address string) (net.Conn, error) {
		f.dials.Add(1)
		return f.network.Dial(ctx, address)
	}))(t)
	t.Cleanup(s.Close)
	f.listen(t)
	return s
}

func (f *fake) listen(t *testing.T) {
	l := must(f.network.Listen(fakeAddress))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.serve(c) // one at a time
		}
	}()
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		value := ""
		if words[0] == "ms" {
			value, _ = r.ReadString('\n') // none of these tests puts a value with an end of a line
			value = strings.TrimSpace(value)
		}
		out := "MN\r\n"
		if words[0] != "mn" {
			out = f.reply(words, value)
		}
		if out == "close" {
			return
		}
		if _, err := c.Write([]byte(out)); err != nil {
			return
		}
	}
}

func (f *fake) reply(words []string, value string) string {
	opaque := words[slices.IndexFunc(words, func(w string) bool { return w[0] == 'O' })]
	key := words[1]
	switch {
	case !strings.Contains(key, ":e"):
		return f.answer(words[0], opaque)
	case words[0] == "ms" && (f.epochs[key] == "" || !slices.Contains(words, "ME")):
		time.Sleep(f.slow)
		f.epochs[key] = value
		return "HD " + opaque + "\r\n"
	case words[0] == "ms":
		return "NS " + opaque + "\r\n"
	}
	return fmt.Sprintf("VA 16 %s\r\n%s\r\n", opaque, f.epochs[key])
}

// Whatever a server answers that is not the meta protocol, or not to what was asked, ends in an error, at once or with the timeout, the server is
// left out, and nobody takes it for a value. What it cannot do it says, and that ends nothing.
func TestWrongAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer func(opaque string) string
		want   error // nil: any
		out    bool
	}{
		{"no room", func(string) string { return "SERVER_ERROR out of memory writing\r\n" }, errRefused, false},
		{"not known", func(string) string { return "ERROR\r\n" }, errForeign, true},
		{"not understood", func(string) string { return "CLIENT_ERROR bad command line format\r\n" }, errStream, true},
		{"another protocol", func(string) string { return "-ERR unknown command\r\n" }, errStream, true},
		{"bytes", func(string) string { return "\x00\xff\x80\x00\n\n\n" }, errStream, true},
		{"a line that does not end", func(string) string { return "VA " + strings.Repeat("1 ", 20_000) }, errLine, true},
		{"a length that is too large", func(o string) string { return "VA 8388609 " + o + "\r\n" }, errLength, true},
		{"a length that is none", func(o string) string { return "VA -1 " + o + "\r\n" }, errStream, true},
		{"a length beyond all numbers", func(o string) string { return "VA 99999999999999999999 " + o + "\r\n" }, errStream, true},
		{"a value longer than said", func(o string) string { return "VA 1 " + o + "\r\nabc\r\n" }, errStream, true},
		{"a value shorter than said", func(o string) string { return "VA 100 " + o + "\r\nabc\r\n" }, errSilent{time.Second}, true},
		{"an answer to another", func(string) string { return "VA 1 O1\r\na\r\n" }, errStream, true},
		{"an answer to nobody", func(string) string { return "VA 1\r\na\r\n" }, errStream, true},
		{"a cas that is none", func(o string) string { return "HD " + o + " cx\r\n" }, errStream, true},
		{"silence", func(string) string { return "" }, errSilent{time.Second}, true},
		{"the end", func(string) string { return "close" }, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: func(_, opaque string) string { return tt.answer(opaque) }}
				s := f.open(t)
				l, err := s.Acquire(t.Context(), id(1), nil, time.Minute)
				if err == nil || l.Token != 0 || tt.want != nil && !s.hasFailed(err, tt.want) {
					t.Errorf("%v, %v; %v is wanted", l, err, tt.want)
				}
				if s.isOut(0) != tt.out {
					t.Errorf("out: %v", !tt.out)
				}
			})
		})
	}
}

// hasFailed reports whether an error, or that for which the node is out, is one.
func (s *Store) hasFailed(err, want error) bool {
	n := s.nodes[0]
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Is(err, want) || errors.Is(err, ErrNone) && errors.Is(n.err, want)
}

// A node that is down is dialed when its pauses end, 1s and then twice as long up to 10s, and not for each call; callers get their errors at once.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_, opaque string) string { return "EN " + opaque + "\r\n" }}
		s := f.open(t)
		f.network.SetTrouble(fakeAddress, memnet.Trouble{Refuse: true})
		const down = time.Minute
		for began := time.Now(); time.Since(began) < down; {
			at := time.Now()
			if _, err := s.Get(t.Context(), id(1), nil); err == nil {
				t.Fatal("no error")
			}
			if took := time.Since(at); took > 0 {
				t.Fatalf("%v for an error", took)
			}
			time.Sleep(time.Millisecond)
		}
		if n := f.dials.Load(); n < 6 || n > 14 {
			t.Errorf("%d dials in %v", n, down)
		}
		f.network.SetTrouble(fakeAddress, memnet.Trouble{})
		time.Sleep(longestPause)
		if _, err := s.Get(t.Context(), id(1), nil); err != nil {
			t.Error(err)
		}
	})
}

// No more wait on a connection than it may hold: one more waits with its context. A dial that is not answered ends with its timeout, and its callers
// with their contexts.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, peer := memnet.Pipe()
		defer peer.Close()
		c := newConn(client, time.Hour)
		end := make(chan bool)
		go func() { c.run(); close(end) }()
		for range maxInFlight {
			r := newRequest(1)
			r.bytes = []byte("mn\r\n")
			if err := c.send(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.send(ctx, newRequest(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one more: %v", err)
		}
		c.close(errClosed)
		<-end
		if err := c.send(t.Context(), newRequest(1)); err != errClosed {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		client, peer := memnet.Pipe()
		defer peer.Close()
		c := newConn(client, time.Hour)
		end := make(chan bool)
		go func() { c.run(); close(end) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := range maxLarge + 1 {
			r := newRequest(1)
			r.bytes = make([]byte, largeBytes+1)
			if err := c.send(ctx, r); (err != nil) != (i == maxLarge) {
				t.Errorf("large request %d: %v", i, err)
			}
		}
		c.close(errClosed)
		<-end
	})
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := f.open(t)
		f.network.SetTrouble(fakeAddress, memnet.Trouble{Blackhole: true})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := s.Get(ctx, id(1), nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 50*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := s.Get(t.Context(), id(1), nil); !errors.Is(err, ErrNone) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A purge that a server has not answered makes void what it keeps, though its caller has gone.
func TestPurgeThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(verb, opaque string) string {
			if verb == "md" {
				return ""
			}
			return "EN " + opaque + "\r\n"
		}}
		s := f.open(t)
		if _, err := s.Get(t.Context(), id(1), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Delete(ctx, id(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.Sleep(1100 * time.Millisecond)
		if !s.isOut(0) || !s.epochOf(0, 0).old.Load() {
			t.Error("what the server keeps holds")
		}
	})
}

// While a new epoch is made nobody goes by the old one.
func TestNewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_, opaque string) string { return "EN " + opaque + "\r\n" }}
		s := f.open(t)
		was := must(s.epoch(t.Context(), 0, 0))(t)
		s.epochOf(0, 0).old.Store(true)
		f.slow = 500 * time.Millisecond
		end := make(chan uint64)
		go func() { end <- must(s.epoch(t.Context(), 0, 0))(t) }()
		synctest.Wait()
		if e, err := s.epoch(short(t, 100*time.Millisecond), 0, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%x, %v; it was %x", e, err, was)
		}
		is := <-end
		if now := must(s.epoch(t.Context(), 0, 0))(t); now != is || is == was {
			t.Errorf("%x, after %x and %x", now, was, is)
		}
	})
}

// After Close, and when it comes in the middle, there are errors, and nothing is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_, _ string) string { return "" }}
		s := f.open(t)
		end := make(chan error)
		go func() {
			_, err := s.Get(t.Context(), id(1), nil)
			end <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-end; !errors.Is(err, errClosed) {
			t.Errorf("%v", err)
		}
		if err := s.Delete(t.Context(), cache.ID{}); !errors.Is(err, errClosed) {
			t.Errorf("%v", err)
		}
		if _, err := s.Get(t.Context(), id(1), nil); !errors.Is(err, errClosed) {
			t.Errorf("%v", err)
		}
	})
}

// A key is in the bounds of memcached, whatever the namespace.
func TestKeys(t *testing.T) {
	s := must(New(Config{Addresses: []string{"a:1"}, Namespace: strings.Repeat("n", 64)}))(t)
	defer s.Close()
	for _, key := range [][]byte{appendKey(nil, s.config.Namespace, kindValue, 1<<63-1, id(1)), []byte(s.nodes[0].epochKey)} {
		if len(key) > 250 || strings.ContainsFunc(string(key), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q", key)
		}
	}
	if got := strconv.Itoa(int(seconds(0))) + strconv.Itoa(int(seconds(1500*time.Millisecond))); got != "24" {
		t.Error(got)
	}
	if seconds(10000*time.Hour) >= 30*24*3600 {
		t.Error("a life is taken for a date")
	}
}
