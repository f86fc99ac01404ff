package cachetest_test

import (
	"testing"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/cache/cachetest"
)

// The double keeps what it doubles for.
func TestMemory(t *testing.T) {
	for name, tracks := range map[string]bool{"tracks": true, "tells nothing": false} {
		t.Run(name, func(t *testing.T) {
			cachetest.Run(t, func(*testing.T) cachetest.Server {
				m := &cachetest.Memory{Tracks: tracks}
				return cachetest.Server{Open: func(_ *testing.T, e cache.Events) cache.Store { return m.Open(e) }}
			})
		})
	}
}
