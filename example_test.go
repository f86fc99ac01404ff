package thriftloom_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/thriftloom/thriftloom"
)

const usersIDL = `
struct User { 1: i64 id, 2: string name }
exception NotFound { 1: i64 id }
service Users { User getUser(1: i64 id) throws (1: NotFound notFound) }
`

// User and NotFound are plain Go types, matched to the IDL's by name.
type User struct {
	ID   int64
	Name string
}

type NotFound struct{ ID int64 }

func (e *NotFound) Error() string { return fmt.Sprintf("no user %d", e.ID) }

// Users serves the IDL's service of that name.
type Users struct{}

func (Users) GetUser(_ context.Context, id int64) (*User, error) {
	if id != 7 {
		return nil, &NotFound{ID: id}
	}
	return &User{ID: 7, Name: "Grace"}, nil
}

// A service and its caller in a few lines, in memory. With Serve and Dial the same goes over a network.
func Example() {
	doc, err := thriftloom.LoadBytes("users.thrift", []byte(usersIDL))
	if err != nil {
		log.Fatal(err)
	}
	client, err := thriftloom.Pair(doc.Service("Users"), Users{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var users struct {
		GetUser func(ctx context.Context, id int64) (*User, error)
	}
	if err := thriftloom.Bind(client, &users, thriftloom.Exceptions((*NotFound)(nil))); err != nil {
		log.Fatal(err)
	}
	user, err := users.GetUser(context.Background(), 7)
	fmt.Println(user.Name, err)
	_, err = users.GetUser(context.Background(), 8)
	var missing *NotFound
	fmt.Println(errors.As(err, &missing), err)
	// Output:
	// Grace <nil>
	// true no user 8
}
