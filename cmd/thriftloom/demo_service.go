package main

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/thriftloom/thriftloom"
)

//go:embed demo.thrift
var demoIDL []byte

// demoUser is the IDL's User, and demoMissing its NotFound, as plain Go.
type demoUser struct {
	ID    int64
	Name  string
	Email *string
	Role  int32
}

// NotFound is the IDL's exception: it is found by its name.
type NotFound struct{ ID int64 }

func (e *NotFound) Error() string { return fmt.Sprintf("no user %d", e.ID) }

// demoUsers is the service that the demo runs: it takes a few milliseconds a call, as a service with a database behind it does.
type demoUsers struct{}

// Ping answers.
func (demoUsers) Ping(context.Context) error { return nil }

// GetUser returns the user, or NotFound beyond 1,000,000.
func (demoUsers) GetUser(ctx context.Context, id int64) (*demoUser, error) {
	if id < 1 || id > 1_000_000 {
		return nil, &NotFound{ID: id}
	}
	work := time.NewTimer(2*time.Millisecond + time.Duration(rand.ExpFloat64()*float64(time.Millisecond)))
	defer work.Stop()
	select {
	case <-work.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	email := fmt.Sprintf("user%d@example.com", id)
	return &demoUser{ID: id, Name: fmt.Sprintf("User %d", id), Email: &email, Role: 1}, nil
}

// newDemoReplica is what the demo starts as its replicas: this binary again.
func newDemoReplica() *cobra.Command {
	return &cobra.Command{
		Use: "demo-replica ADDRESS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			doc, err := thriftloom.LoadBytes("demo.thrift", demoIDL)
			if err != nil {
				return err
			}
			return thriftloom.Serve(ctx, "unix:"+args[0], doc.Service("Users"), demoUsers{})
		},
	}
}
