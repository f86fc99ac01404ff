package memcached

import "github.com/thriftloom/thriftloom/store"

// Config is the block of the memcached servers.
type Config = store.MemcachedConfig

// server is one of the addresses.
type server = store.MemcachedServer

// Mistake is a wrong key of the block.
type Mistake = store.Mistake
