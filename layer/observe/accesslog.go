package observe

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"github.com/thriftloom/thriftloom/rpc"
)

// AccessLog is a sink that writes a line a call: every call that failed, and a part of the others.
//
// A line has no argument and no result: names, codes, sizes and times only.
type AccessLog struct {
	log    *slog.Logger
	sample func() bool
}

// NewAccessLog returns an access log that writes part of the calls that succeed: 0 none, 1 all.
func NewAccessLog(log *slog.Logger, part float64) *AccessLog {
	return &AccessLog{log: log, sample: func() bool { return part >= 1 || part > 0 && rand.Float64() < part }}
}

// Begun does nothing.
func (a *AccessLog) Begun(*rpc.Call) {}

// Late does nothing.
func (a *AccessLog) Late(*rpc.Call, rpc.Attempt) {}

// Ended writes the line.
func (a *AccessLog) Ended(r *rpc.Record) {
	level := slog.LevelInfo
	if r.Err != nil {
		level = slog.LevelWarn
	} else if !a.sample() {
		return
	}
	call, attempts := r.Call, r.Attempts()
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("call", call.ID.String()),
		slog.String("rpc.method", call.MethodName()),
		slog.String("rpc.status_code", r.Code()),
		slog.Float64("duration_ms", float64(r.Took.Microseconds())/1000),
		slog.String("client.address", call.Caller.Address),
		slog.Int("bytes_in", len(call.Body)),
		slog.Int("attempts", len(attempts)))
	if call.Caller.Name != "" {
		attrs = append(attrs, slog.String("caller", call.Caller.Name))
	}
	if t := call.Tracking; t != nil && t.RequestID != "" {
		attrs = append(attrs, slog.String("thriftpy.request_id", shown(t.RequestID, 128)))
	}
	if call.Method == nil {
		attrs = append(attrs, slog.String("rpc.method_original", cut(call.Name, 128)))
	}
	if call.Oneway {
		attrs = append(attrs, slog.Bool("oneway", true))
	}
	if r.Cache != 0 {
		attrs = append(attrs, slog.String("cache", r.Cache.String()))
		if r.CacheAge > 0 {
			attrs = append(attrs, slog.Int64("cache_age_ms", r.CacheAge.Milliseconds()))
		}
	}
	if n := len(attempts); n > 0 {
		last := attempts[n-1]
		attrs = append(attrs,
			slog.String("upstream", last.Cluster), slog.String("endpoint", last.Endpoint),
			slog.Float64("waited_ms", float64(last.Waited.Microseconds())/1000))
		if slices.ContainsFunc(attempts, func(a rpc.Attempt) bool { return a.Hedge }) {
			attrs = append(attrs, slog.Bool("hedged", true))
		}
	}
	if r.Reply != nil {
		attrs = append(attrs, slog.Int("bytes_out", len(r.Reply.Body)))
		if t := r.Reply.ExceptionType(call.Method); t != "" {
			attrs = append(attrs, slog.String("thrift.exception_type", t))
		}
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", cut(r.Err.Error(), 512)), slog.String("reach", r.Err.Reach.String()))
		if r.Err.Outcome != 0 {
			attrs = append(attrs, slog.String("outcome", r.Err.Outcome.String()))
		}
	}
	a.log.LogAttrs(context.Background(), level, "call", attrs...)
}

// cut shortens what a peer may have made long.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// shown is cut for what may have bytes that are not for people: those are left out.
func shown(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, cut(s, n))
}
