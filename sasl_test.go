package thriftloom_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/rpc"
)

// Where a server asks who calls, a client with the right password is served and known by its user, and no other is.
func TestLogin(t *testing.T) {
	doc := document(t)
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	defer served.Wait()
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := thriftloom.NewServer(doc.Service("Users"), Users{})
	if err != nil {
		t.Fatal(err)
	}
	callers, next := make(chan rpc.Caller, 10), s.Handler
	s.Handler = rpc.HandlerFunc(func(ctx context.Context, call *rpc.Call) (*rpc.Reply, error) {
		callers <- call.Caller
		return next.Handle(ctx, call)
	})
	s.Login = func(user, password string) bool { return user == "alice" && password == "pwd" }
	served.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		user, password, want string
	}{
		{"alice", "pwd", ""},
		{"alice", "", "the server refused the user or the password"},
		{"bob", "pwd", "the server refused the user or the password"},
		{"", "", "the handler ended without a reply"}, // its first bytes are no login
	} {
		config := thriftloom.ClientConfig{
			Addresses: []string{l.Addr().String()}, User: tt.user, Password: tt.password, Timeout: 10 * time.Second, Attempts: 1, Protocol: thriftloom.Compact,
		}
		c, err := config.Dial(doc.Service("Users"))
		if err != nil {
			t.Fatal(err)
		}
		var users struct {
			GetUser func(ctx context.Context, id int64) (*User, error)
		}
		if err := thriftloom.Bind(c, &users); err != nil {
			t.Fatal(err)
		}
		if _, err := users.GetUser(ctx, 7); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.user, err, tt.want)
		}
		c.Close()
	}
	if c := <-callers; c.Name != "user:alice" || !slices.Equal(c.Identities, []string{"user:alice"}) {
		t.Errorf("the caller is %+v", c)
	}
	if len(callers) > 0 {
		t.Error("a call has come in that should not have")
	}
}
