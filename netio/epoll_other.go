//go:build !linux

package netio

import (
	"errors"
	"fmt"
)

// NewEpoll returns errors.ErrUnsupported: only Linux has epoll.
func NewEpoll(int) (Engine, error) { return nil, fmt.Errorf("epoll: %w", errors.ErrUnsupported) }
