package main

import (
	"crypto/tls"

	"github.com/thriftloom/thriftloom/gateway"
	"github.com/thriftloom/thriftloom/layer/cache"
	"github.com/thriftloom/thriftloom/store"
	"github.com/thriftloom/thriftloom/store/redis"
)

// openRedis makes the client of Redis that a gateway uses: for replies, and for what limits count.
func openRedis(c store.RedisConfig, t func() *tls.Config, events cache.Events) (gateway.RedisClient, error) {
	var secure *tls.Config
	if t != nil {
		secure = t()
	}
	replies, err := redis.New(c, secure, events)
	if err != nil {
		return gateway.RedisClient{}, err
	}
	limits, err := redis.NewLimits(c, secure)
	if err != nil {
		replies.Close()
		return gateway.RedisClient{}, err
	}
	return gateway.RedisClient{Replies: replies, Limits: limits, Close: func() { limits.Close(); replies.Close() }}, nil
}
