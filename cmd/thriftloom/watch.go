package main

import (
	"context"

	"github.com/thriftloom/thriftloom/internal/filewatch"
)

// watch reloads the gateway when what it reads changes, until ctx ends. seen is how the files were when they were read.
func (r *running) watch(ctx context.Context, seen filewatch.Seen) {
	filewatch.Run(ctx, filewatch.Config{
		Set: r.gateway.Watched, Seen: seen, Log: r.log,
		Changed: func(names []string) {
			r.log.Info("files have changed", "files", names[:min(len(names), 16)], "count", len(names))
			r.reload(ctx)
		},
	})
}
