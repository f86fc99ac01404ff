package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// cacheText is the cache as tables.
func cacheText(r *status.CacheReport) string {
	if len(r.Methods) == 0 {
		return "no method has a cache\n"
	}
	var b strings.Builder
	cacheLines(&b, &r.Cache)
	head := "METHOD\tCALLS\tHIT RATIO\tSTORED\tSTALE\tCOALESCED\tMISSES\tBYPASSED\tMEAN AGE\tENTRIES\tBYTES\tEVICTIONS\tMADE VOID"
	table(&b, head, len(r.Methods), func(i int) []any {
		m := &r.Methods[i]
		stale := fmt.Sprint(m.Calls["stale"] + m.Calls["stale_if_error"])
		if n := m.Calls["stale_if_error"]; n > 0 {
			stale += fmt.Sprintf(" (%d on error)", n)
		}
		return []any{
			m.Service + "/" + m.Method, calls(&m.Cached), hitRatio(&m.Cached), m.Calls["stored"], stale, m.Calls["coalesced"], m.Calls["miss"], m.Calls["bypass"],
			seconds(m.MeanAgeSeconds, 10*time.Millisecond), m.Entries, byteText(m.Bytes), m.Evictions, m.Invalidations,
		}
	})
	return b.String()
}

// cacheLines writes a line for the memory, and one for each store; nothing where there is no cache.
func cacheLines(b *strings.Builder, c *status.Cache) {
	if c == nil {
		return
	}
	fmt.Fprintf(b, "cache: %s of %s, replies %d, evictions %d\n", byteText(c.Bytes), byteText(c.MaxBytes), c.Entries, c.Evictions)
	for _, s := range c.Stores {
		state := "up"
		switch {
		case !s.Up:
			state = "DOES NOT ANSWER, each gateway keeps replies for itself"
		case !s.Tracks:
			state = "up, does not tell what changes"
		}
		if s.Owed > 0 {
			state += fmt.Sprintf(", to be told of invalidations: %d", s.Owed)
		}
		fmt.Fprintf(b, "%s: %s\n", s.Name, state)
	}
}

// cacheTable writes the methods with a cache and calls.
func cacheTable(b *strings.Builder, s *status.Snapshot) {
	all := methodsWhere(s, func(m *status.Method) bool { return m.Cache != nil && calls(m.Cache) > 0 })
	table(b, "CACHE\tCALLS\tHIT RATIO\tON ERROR\tMISSES\tMEAN AGE\tENTRIES\tBYTES\tFAILED LOADS", len(all), func(i int) []any {
		c := all[i].Cache
		return []any{
			all[i].name, calls(c), hitRatio(c), c.Calls["stale_if_error"], c.Calls["miss"], seconds(c.MeanAgeSeconds, 10*time.Millisecond),
			c.Entries, byteText(c.Bytes), c.Failures,
		}
	})
}

func calls(c *status.Cached) (n int64) {
	for _, x := range c.Calls {
		n += x
	}
	return n
}

func hitRatio(c *status.Cached) string {
	if calls(c) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*c.HitRatio)
}

// byteText returns a size with one decimal at most: 12.3 MiB.
func byteText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, units := float64(n)/(1<<10), []string{"KiB", "MiB", "GiB", "TiB"}
	for size >= 1023.95 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", size), ".0") + " " + units[0]
}

// keptText says where a reply is, and how old.
func keptText(r *status.CachedReply) string {
	fresh := fmt.Sprintf("fresh for %v", seconds(r.FreshSeconds, 10*time.Millisecond))
	if r.FreshSeconds <= 0 {
		fresh = fmt.Sprintf("stale for %v", seconds(-r.FreshSeconds, 10*time.Millisecond))
	}
	what := byteText(int64(r.Bytes))
	if r.Exception != "" {
		what = "exception " + r.Exception + ", " + what
	}
	return fmt.Sprintf("in %s, %v old, %s, %s", r.Where, seconds(r.AgeSeconds, 10*time.Millisecond), fresh, what)
}

func purgedText(p *status.Purged) string {
	switch p.Purged {
	case "service":
		return "the replies of " + p.Service
	case "tag":
		return "the replies of " + p.Service + " with that tag"
	case "method":
		return "the replies of " + p.Service + "." + p.Method
	case "call":
		return "the replies to that call of " + p.Service + "." + p.Method
	}
	return "all replies"
}
