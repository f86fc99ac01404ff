//go:build !linux

package netio

import "errors"

// NewEpoll returns an error: only Linux has epoll.
func NewEpoll(int) (Engine, error) { return nil, errors.New("epoll is Linux's") }
