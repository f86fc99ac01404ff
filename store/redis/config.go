package redis

import "github.com/thriftloom/thriftloom/store"

// Config is the block of a Redis.
type Config = store.RedisConfig
