package main

import (
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/thriftloom/thriftloom/gateway"
)

// tokenEvery bounds how often the admin token's file is read: who asks for changes may ask often.
const tokenEvery = time.Second

// tokens is the admin token as the config in force and its file have it now.
type tokens struct {
	gateway *gateway.Gateway
	log     *slog.Logger

	mu     sync.Mutex
	config *gateway.Config // of the last look
	looked time.Time
	token  string
	failed string // why the last look failed, "" where it did not
}

// now returns the token. Where its file cannot be read the last good one holds, which is told once.
func (t *tokens) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	cfg, at := t.gateway.Config(), time.Now()
	if cfg == t.config && at.Sub(t.looked) < tokenEvery {
		return t.token
	}
	t.config, t.looked = cfg, at
	token, err := cfg.AdminToken()
	if err == nil {
		t.token, t.failed = token, ""
		return token
	}
	if text := err.Error(); text != t.failed {
		t.failed = text
		t.log.Error("admin token not taken over: the last good one stays in force", "error", text)
	}
	if t.token == "" {
		t.token = rand.Text() // one is wanted that nobody knows: not none
	}
	return t.token
}
