package thriftloom_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom"
	"github.com/thriftloom/thriftloom/cluster/balance"
	"github.com/thriftloom/thriftloom/layer/retry"
	"github.com/thriftloom/thriftloom/service"
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

// Two services at one port, called over one connection each: multiplexed callers name the service that they mean.
func ExampleServer_Add() {
	doc, err := thriftloom.LoadBytes("shop.thrift", []byte(usersIDL+"service Teams { string captain(1: string team) }"))
	if err != nil {
		log.Fatal(err)
	}
	server, err := thriftloom.NewServer(doc.Service("Users"), Users{})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Add("", doc.Service("Teams"), Teams{}); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.Serve(ctx, l) }()

	client, err := thriftloom.ClientConfig{
		Addresses: []string{l.Addr().String()}, Protocol: thriftloom.Compact, Transport: thriftloom.Framed, Multiplexed: "Teams",
	}.Dial(doc.Service("Teams"))
	if err != nil {
		log.Fatal(err)
	}
	var teams struct {
		Captain func(ctx context.Context, team string) (string, error)
	}
	if err := thriftloom.Bind(client, &teams); err != nil {
		log.Fatal(err)
	}
	fmt.Println(teams.Captain(ctx, "navy"))
	client.Close()
	stop()
	fmt.Println(<-served)
	// Output:
	// Grace of navy <nil>
	// <nil>
}

// Teams serves the service of that name.
type Teams struct{}

func (Teams) Captain(_ context.Context, team string) (string, error) { return "Grace of " + team, nil }

// serveUsers serves Users at so many free ports, until stop is called.
func serveUsers(svc *thriftloom.Service, n int) (addresses []string, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	for range n {
		server, err := thriftloom.NewServer(svc, Users{})
		if err != nil {
			log.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		served.Go(func() { _ = server.Serve(ctx, l) })
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, func() { cancel(); served.Wait() }
}

// A client of three servers: users are kept by their ids at one server each, and getUser, which is harmless to repeat, is tried again at
// another one.
func ExampleClientConfig() {
	doc, err := thriftloom.LoadBytes("users.thrift", []byte(usersIDL))
	if err != nil {
		log.Fatal(err)
	}
	addresses, stop := serveUsers(doc.Service("Users"), 3)
	defer stop()

	client, err := thriftloom.ClientConfig{
		Addresses: addresses,
		Balance:   balance.Config{Policy: "ring_hash", Argument: "id"},
		Policy:    service.Policy{Timeout: 2 * time.Second},
		Methods: map[string]service.Policy{
			"getUser": {Idempotent: true, Retry: retry.Config{Attempts: 5}},
		},
	}.Dial(doc.Service("Users"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var users struct {
		GetUser func(ctx context.Context, id int64) (*User, error)
	}
	if err := thriftloom.Bind(client, &users); err != nil {
		log.Fatal(err)
	}
	for range 6 {
		if _, err := users.GetUser(context.Background(), 7); err != nil {
			log.Fatal(err)
		}
	}
	for _, e := range client.Snapshot().Endpoints {
		if e.Calls > 0 {
			fmt.Println(e.State, e.Calls)
		}
	}
	// Output: up 6
}

// Directory is a Resolver: here it knows its servers at once. One that asks a registry calls update whenever the answer is another one.
type Directory []string

func (d Directory) Run(ctx context.Context, update func([]thriftloom.Endpoint)) error {
	var all []thriftloom.Endpoint
	for i, address := range d {
		all = append(all, thriftloom.Endpoint{Address: address, Name: fmt.Sprint("users-", i+1)})
	}
	update(all)
	<-ctx.Done()
	return nil
}

// A client that is told by somebody else where the servers are.
func ExampleResolver() {
	doc, err := thriftloom.LoadBytes("users.thrift", []byte(usersIDL))
	if err != nil {
		log.Fatal(err)
	}
	addresses, stop := serveUsers(doc.Service("Users"), 2)
	defer stop()

	client, err := thriftloom.ClientConfig{Resolver: Directory(addresses)}.Dial(doc.Service("Users"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var users struct {
		GetUser func(ctx context.Context, id int64) (*User, error)
	}
	if err := thriftloom.Bind(client, &users); err != nil {
		log.Fatal(err)
	}
	user, err := users.GetUser(context.Background(), 7)
	fmt.Println(user.Name, err)
	for _, e := range client.Snapshot().Endpoints {
		fmt.Println(e.Name, e.State)
	}
	// Output:
	// Grace <nil>
	// users-1 up
	// users-2 up
}
