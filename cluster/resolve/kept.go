package resolve

import (
	"context"
	"time"

	"github.com/thriftloom/thriftloom/rpc"
)

// Kept is a source with its Keeper in one, as a Go client takes it: thriftloom.ClientConfig.Resolver.
type Kept struct {
	Source    Resolver
	HoldEmpty time.Duration // as in KeeperConfig
	Changed   func(State)   // as in KeeperConfig
}

// Run calls update with each new set until ctx ends; calls of update do not overlap. It returns no error: a source that fails is asked again.
func (k Kept) Run(ctx context.Context, update func([]rpc.Endpoint)) error {
	NewKeeper(nil).Run(ctx, KeeperConfig{Update: update, HoldEmpty: k.HoldEmpty, Changed: k.Changed}, k.Source)
	return nil
}
