package bind_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/thriftloom/thriftloom/bind"
	"github.com/thriftloom/thriftloom/rpc"
	"github.com/thriftloom/thriftloom/schema"
	"github.com/thriftloom/thriftloom/wire"
)

var doc = schema.MustParse(`
	enum Role { MEMBER = 1, ADMIN = 2 }
	struct User { 1: i64 id, 2: string name, 3: optional string email, 4: Role role, 5: list<string> tags, 6: map<string, i32> marks }
	union Key { 1: i64 id, 2: string name }
	exception NotFound { 1: i64 id, 2: string message }
	exception Refused { 1: string reason }
	service Users {
		void ping(),
		User getUser(1: i64 id) throws (1: NotFound notFound, 2: Refused refused),
		User find(1: Key key),
		list<User> listUsers(1: i32 limit),
		i64 add(1: i64 a, 2: i64 b),
		oneway void track(1: string event),
	}
`)

type (
	Role int32
	User struct {
		ID    int64
		Name  string
		Email *string
		Role  Role
		Tags  []string
		Marks map[string]int32
	}
	Key struct {
		ID   *int64
		Name *string
	}
	NotFound struct {
		ID      int64
		Message string
	}
	Refused struct{ Reason string }
)

func (e *NotFound) Error() string { return fmt.Sprintf("no user %d: %s", e.ID, e.Message) }
func (e Refused) Error() string   { return e.Reason }

// users is the service as a plain Go value.
type users struct{ events []string }

func (*users) Ping(context.Context) error { return nil }
func (*users) GetUser(ctx context.Context, id int64) (*User, error) {
	switch id {
	case 404:
		return nil, fmt.Errorf("looking: %w", &NotFound{ID: id, Message: "nobody"})
	case 403:
		return nil, Refused{"closed"}
	case 500:
		return nil, errors.New("the disk is full")
	case 501:
		panic("boom")
	case 204:
		return nil, nil
	case 408:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	mail := "ada@example.com"
	return &User{ID: id, Name: "Ada", Email: &mail, Role: 2, Tags: []string{"a"}, Marks: map[string]int32{"x": 1}}, nil
}
func (u *users) Find(ctx context.Context, key *Key) (*User, error) {
	if key.ID != nil {
		return u.GetUser(ctx, *key.ID)
	}
	return &User{Name: *key.Name}, nil
}
func (*users) ListUsers(_ context.Context, limit int32) ([]*User, error) {
	return make([]*User, 0, limit)[:0:0], nil
}
func (*users) Add(_ context.Context, a, b int64) (int64, error) { return a + b, nil }
func (u *users) Track(_ context.Context, event string) error {
	u.events = append(u.events, event)
	return nil
}
func (*users) Helper() {}

// calls is what a caller binds.
type calls struct {
	Ping      func(ctx context.Context) error
	GetUser   func(ctx context.Context, id int64) (*User, error)
	Find      func(ctx context.Context, key *Key) (*User, error)
	ListUsers func(ctx context.Context, limit int32) ([]*User, error)
	Sum       func(ctx context.Context, a, b int64) (int64, error) `thrift:"add"`
	Track     func(ctx context.Context, event string) error
}

func pair(t *testing.T, opts ...bind.Option) (*users, *calls) {
	t.Helper()
	u, c := &users{}, &calls{}
	h, err := bind.Server(doc.Service("Users"), u)
	if err != nil {
		t.Fatal(err)
	}
	if err := bind.Client(doc.Service("Users"), h, c, opts...); err != nil {
		t.Fatal(err)
	}
	return u, c
}

// Functions and methods that are matched by name carry values both ways.
func TestCallsGoThrough(t *testing.T) {
	u, c := pair(t)
	ctx := t.Context()
	user, err := c.GetUser(ctx, 7)
	if err != nil || user.ID != 7 || user.Name != "Ada" || *user.Email != "ada@example.com" || user.Role != 2 || user.Tags[0] != "a" || user.Marks["x"] != 1 {
		t.Errorf("GetUser: %+v, %v", user, err)
	}
	if sum, err := c.Sum(ctx, 3, 4); sum != 7 || err != nil {
		t.Errorf("Sum: %d, %v", sum, err)
	}
	if err := errors.Join(c.Ping(ctx), c.Track(ctx, "seen")); err != nil || len(u.events) != 1 || u.events[0] != "seen" {
		t.Errorf("events %v, %v", u.events, err)
	}
	name := "Grace"
	if user, err := c.Find(ctx, &Key{Name: &name}); err != nil || user.Name != "Grace" {
		t.Errorf("Find: %+v, %v", user, err)
	}
	if list, err := c.ListUsers(ctx, 3); err != nil || list == nil || len(list) != 0 {
		t.Errorf("ListUsers of nobody: %v, %v", list, err)
	}
}

// A declared exception is its Go type where the client names it, with the method on the pointer or on the value, and *Exception where not.
func TestDeclaredExceptions(t *testing.T) {
	_, c := pair(t, bind.Exceptions((*NotFound)(nil)))
	_, err := c.GetUser(t.Context(), 404)
	var missing *NotFound
	if !errors.As(err, &missing) || missing.ID != 404 || missing.Message != "nobody" {
		t.Errorf("named: %v", err)
	}
	_, err = c.GetUser(t.Context(), 403)
	if !bind.IsException(err, "Refused") || err.Error() != `Refused {"reason":"closed"}` {
		t.Errorf("not named: %v", err)
	}
	_, c = pair(t, bind.Exceptions(Refused{}))
	_, err = c.GetUser(t.Context(), 403)
	if refused, ok := err.(Refused); !ok || refused.Reason != "closed" {
		t.Errorf("named by value: %#v", err)
	}
}

// What is not declared is an *rpc.Error: a failed handler, a panic, a missing result.
func TestFailures(t *testing.T) {
	_, c := pair(t)
	for id, want := range map[int64]rpc.Code{500: rpc.HandlerFailed, 501: rpc.HandlerFailed, 204: rpc.MissingResult} {
		_, err := c.GetUser(t.Context(), id)
		if e := rpc.AsError(err, ""); e == nil || e.Code != want {
			t.Errorf("%d: %v, want %v", id, err, want)
		} else if text := e.Public(1).Message; strings.Contains(text, "disk") || strings.Contains(text, "boom") {
			t.Errorf("%d: the caller is told %q", id, text)
		}
	}
}

// The context's deadline is the call's, and the handler's context has it.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := pair(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := c.GetUser(ctx, 408)
		if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.DeadlineExceeded || e.Reach != rpc.Answered || time.Since(start) != 30*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// Arguments that are no struct are malformed; a method that is not in the IDL is unknown.
func TestBadCalls(t *testing.T) {
	h, err := bind.Server(doc.Service("Users"), &users{})
	if err != nil {
		t.Fatal(err)
	}
	m := doc.Service("Users").Method("add")
	_, err = h.Handle(t.Context(), &rpc.Call{Method: m, Name: "add", Protocol: wire.Binary, Body: []byte{10, 0}})
	if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.Malformed {
		t.Errorf("malformed: %v", err)
	}
	_, err = h.Handle(t.Context(), &rpc.Call{Name: "nope", Protocol: wire.Binary, Body: []byte{0}})
	if e := rpc.AsError(err, ""); e == nil || e.Code != rpc.UnknownMethod {
		t.Errorf("unknown: %v", err)
	}
}

// Dynamic values go through the same handlers.
func TestDynamicCall(t *testing.T) {
	h, err := bind.Server(doc.Service("Users"), &users{})
	if err != nil {
		t.Fatal(err)
	}
	m := doc.Service("Users").Method("getUser")
	args := &schema.StructValue{Type: m.Args, Fields: []schema.Value{int64(7)}}
	result, exc, err := bind.Call(t.Context(), h, m, args)
	if err != nil || exc != nil || result.(*schema.StructValue).Get("name") != "Ada" {
		t.Errorf("result %v, exception %v, error %v", result, exc, err)
	}
	args.Fields[0] = int64(404)
	if _, exc, err = bind.Call(t.Context(), h, m, args); err != nil || exc == nil || exc.Type != "NotFound" {
		t.Errorf("exception %v, error %v", exc, err)
	}
}

type wrong struct{}

func (wrong) Ping() error                                    { return nil }
func (wrong) GetUser(context.Context, string) (*User, error) { return nil, nil }
func (wrong) Find(context.Context, *Key) (struct{ ID string }, error) {
	return struct{ ID string }{}, nil
}
func (wrong) Add(context.Context, int64, int64) int64 { return 0 }
func (wrong) Track(context.Context, []byte) error     { return nil }

// Every mismatch is reported at once, with its place, what is expected and what was found.
func TestMismatches(t *testing.T) {
	err := bind.Check(doc.Service("Users"), wrong{}, bind.Exceptions((*NotFound)(nil), errNobody{}))
	if err == nil {
		t.Fatal("nothing found")
	}
	want := `Users: exceptions: expected a type named as a declared exception is, found bind_test.errNobody
Users.ping: expected func(context.Context) error, found func() error
Users.getUser: argument 1 (id): expected int64 (i64), found string
Users.find: result: User.id: expected int64 (i64), found string
Users.listUsers: expected a method func(context.Context, limit i32) (list<User>, error), found none on bind_test.wrong
Users.add: expected func(context.Context, a i64, b i64) (i64, error), found func(context.Context, int64, int64) int64
Users.track: argument 1 (event): expected string, found []uint8`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var target struct {
		GetUsr func(context.Context, int64) (*User, error)
		Ping   func(context.Context, int) error
	}
	err = bind.Check(doc.Service("Users"), &target)
	want = `Users: expected a method of the service, found field GetUsr; did you mean "getUser"?
Users.ping: expected func(context.Context) error, found func(context.Context, int) error`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

type errNobody struct{}

func (errNobody) Error() string { return "" }
