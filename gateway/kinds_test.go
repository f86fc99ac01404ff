package gateway

import (
	"testing"
	"time"
)

// Each kind gives a connection up before its server would: what is written here is measured at the real servers by test/e2e.
func TestKindsAreBelowTheirServersLimits(t *testing.T) {
	closes := map[string]struct{ idle, age time.Duration }{ // by the server; zero: never
		"threaded":        {idle: 3 * time.Second},
		"simple":          {idle: 3 * time.Second},
		"gunicorn-sync":   {idle: 2 * time.Second, age: 30 * time.Second}, // a worker that is told to leave is killed then
		"gunicorn-gevent": {idle: 2 * time.Second, age: 30 * time.Second},
		"gunicorn-async":  {idle: 2 * time.Second, age: 30 * time.Second},
		"aio":             {age: 3 * time.Second},
		"tornado":         {idle: time.Second},
		"http":            {idle: 2 * time.Second},
		"concurrent":      {}, // a Thriftloom server keeps callers for as long as they like
		"":                {idle: 2 * time.Second},
	}
	for _, k := range ServerKinds {
		c, known := closes[k.Name]
		if !known {
			t.Errorf("%q: what its servers do is not written here", k.Name)
		}
		if k.IdleExpiry <= 0 || c.idle > 0 && k.IdleExpiry > c.idle*17/20 {
			t.Errorf("%q keeps a free connection for %v; its servers close at %v", k.Name, k.IdleExpiry, c.idle)
		}
		if c.age > 0 && (k.MaxAge <= 0 || k.MaxAge > c.age/3) {
			t.Errorf("%q keeps a connection for %v; its servers end it at %v", k.Name, k.MaxAge, c.age)
		}
	}
}
