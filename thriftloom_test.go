package thriftloom_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/thriftloom/thriftloom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func document(t *testing.T) *thriftloom.Document {
	t.Helper()
	doc, err := thriftloom.LoadBytes("users.thrift", []byte(usersIDL))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Serve and Dial speak over real sockets, TCP and unix, framed and not, to one and to several addresses.
func TestServeAndDial(t *testing.T) {
	doc := document(t)
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	defer served.Wait()
	defer cancel()
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, err := thriftloom.NewServer(doc.Service("Users"), Users{})
		if err != nil {
			t.Fatal(err)
		}
		served.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
		addresses = append(addresses, l.Addr().String())
	}
	for _, framed := range []bool{false, true} {
		for _, to := range [][]string{addresses[:1], addresses} {
			c, err := thriftloom.ClientConfig{Addresses: to, Framed: framed}.Dial(doc.Service("Users"))
			if err != nil {
				t.Fatal(err)
			}
			var users struct {
				GetUser func(ctx context.Context, id int64) (*User, error)
			}
			if err := thriftloom.Bind(c, &users); err != nil {
				t.Fatal(err)
			}
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() {
					if u, err := users.GetUser(ctx, 7); err != nil || u.Name != "Grace" {
						t.Errorf("%+v, %v", u, err)
					}
				})
			}
			calls.Wait()
			c.Close()
		}
	}
}

// Serve at an address that is taken says which.
func TestServeAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = thriftloom.Serve(t.Context(), l.Addr().String(), document(t).Service("Users"), Users{})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("error %v", err)
	}
}

// A service that the IDL does not have, an address that is none and a value that does not fit are told before anything starts.
func TestMistakesAtStart(t *testing.T) {
	doc := document(t)
	if _, err := thriftloom.Dial("127.0.0.1:1", doc.Service("Usres")); err == nil {
		t.Error("no service: no error")
	}
	if _, err := thriftloom.Dial("nowhere", doc.Service("Users")); err == nil {
		t.Error("no port: no error")
	}
	if err := thriftloom.Serve(t.Context(), "127.0.0.1:0", doc.Service("Users"), struct{}{}); err == nil || !strings.Contains(err.Error(), "Users.getUser") {
		t.Errorf("no methods: %v", err)
	}
	if err := thriftloom.Check(doc.Service("Users"), Users{}); err != nil {
		t.Error(err)
	}
}

type slow struct{ Users }

func (slow) GetUser(ctx context.Context, _ int64) (*User, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A call ends at its context's deadline, whatever the server does.
func TestDeadline(t *testing.T) {
	doc := document(t)
	synctest.Test(t, func(t *testing.T) {
		c, err := thriftloom.Pair(doc.Service("Users"), slow{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var users struct {
			GetUser func(ctx context.Context, id int64) (*User, error)
		}
		if err := thriftloom.Bind(c, &users); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err = users.GetUser(ctx, 7)
		var e *thriftloom.Error
		if !errors.As(err, &e) || time.Since(start) != 70*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// An IDL loads out of a file system, with its includes.
func TestLoadFS(t *testing.T) {
	files := fstest.MapFS{
		"users.thrift":    {Data: []byte("include \"lib/base.thrift\"\nservice Users extends base.Base { base.ID next() }")},
		"lib/base.thrift": {Data: []byte("typedef i64 ID\nservice Base { void ping() }")},
	}
	doc, err := thriftloom.LoadFS(files, "users.thrift")
	if err != nil || doc.Service("Users").Method("ping") == nil {
		t.Errorf("%v", err)
	}
}
