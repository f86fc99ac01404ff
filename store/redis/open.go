package redis

import (
	"crypto/tls"

	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/layer/limit"
)

// Open makes what a gateway asks of one Redis: what keeps replies, and what limits count with. t, which may be nil, returns how to speak TLS to
// the servers. closes ends both.
func Open(c Config, t func() *tls.Config, events cache.Events) (replies cache.Store, limits limit.Store, closes func(), err error) {
	var secure *tls.Config
	if t != nil {
		secure = t()
	}
	s, err := New(c, secure, events)
	if err != nil {
		return nil, nil, nil, err
	}
	l, err := NewLimits(c, secure)
	if err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	return s, l, func() { l.Close(); s.Close() }, nil
}
