//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// planned is every case of every group. Where the plan names several in one, each stands for itself: a FIN and a RST at each of six
// moments, a unix socket that is gone and one that is recreated.
var planned = map[string][]string{
	"Connect": {
		"refused", "RST on accept", "SYN blackhole", "slow accept", "accept then silence", "backlog full", "DNS fail", "DNS empty",
		"DNS changed", "DNS slow", "DNS source fails", "DNS source empty", "DNS source changed", "DNS source slow", "wrong protocol answers", "fd limit", "ephemeral ports gone", "unix socket gone", "unix socket recreated",
	},
	"Mid-call": {
		"FIN before request read", "FIN after header", "FIN mid-frame", "FIN after request", "FIN mid-reply", "FIN after reply",
		"RST before request read", "RST after header", "RST mid-frame", "RST after request", "RST mid-reply", "RST after reply",
		"half-close", "1-byte writes", "1 B per s", "pause 1 s", "pause 3 s", "pause 30 s", "reply before request ends", "extra bytes",
		"two replies", "reply with other seqid", "reply with other method", "reply with wrong type",
	},
	"Process": {
		"SIGKILL", "SIGTERM", "SIGSTOP and CONT", "OOM kill", "fork bomb limit", "GIL stall", "GC pause", "exit in handler",
		"thread exhaustion", "restart on same port", "port taken by other service",
	},
	"Performance": {
		"two speeds", "antagonist", "cold start", "periodic pause", "slow 1 %", "slow one method", "memory leak", "CPU quota throttle",
		"clock step ±1 h", "clock frozen",
	},
	"Errors": {
		"sinkhole", "30 % grey", "poison call", "undeclared exception", "UNKNOWN_METHOD on half the fleet", "declared exception storm", "flap",
	},
	"Pool": {
		"idle close at 3 s", "idle held worker", "more gateways than workers", "max age", "half-open", "NAT drop", "pool exhaustion",
	},
	"Overload": {
		"1.5x", "3x", "10x", "retry storm", "thundering reconnect", "slow-loris in", "slow reader out", "large replies", "one principal floods",
	},
	"Lifecycle": {
		"reload good config", "reload bad config", "upgrade with open calls", "drain timeout", "double signal", "crash of supervisor",
		"log disk full", "certificate expiry", "certificate rotation",
	},
	"Server kinds": {
		"threaded", "simple", "multiplexed", "aio", "tornado", "gunicorn_thrift sync", "gunicorn_thrift gevent", "gunicorn sync", "gunicorn async",
		"thriftpy2.contrib.gunicorn", "http", "every case of a caller", "limits of the servers themselves", "never more connections than slots",
		"64 at once on aio", "64 at once on tornado", "64 at once on gunicorn_thrift gevent", "64 at once on gunicorn async",
		"gunicorn reloads", "gunicorn max_requests", "an early idle limit is learned", "a maximum age is learned", "restarts teach nothing",
	},
	"Two gateways": {"killed, and started again", "drained", "replaced", "stands still", "both down", "address not shared"},
	"Topology":     {"remove all", "weight 0", "zone loss", "gateway join", "gateway leave", "split gossip", "add 1", "remove 1", "duplicate address", "registry down", "registry empty", "registry stale"},
	"Cache store": {
		"down, redis", "down, memcached", "slow, redis", "slow, memcached", "flap, redis", "flap, memcached", "hangs, redis", "hangs, memcached",
		"connection lost, redis", "connection lost, memcached", "evicts, redis", "evicts, memcached", "wrong type", "truncated value",
		"another's value", "all evicted", "tracking connection lost", "tracking connection killed", "failover", "cluster node killed",
		"memcached node stopped", "memcached node comes back", "clock skew TTL", "oversized reply", "oversized value", "limits, away",
	},
	"Reload": {
		"policy under load", "number of replicas", "learned state", "IDL method added", "IDL field added", "IDL method removed", "IDL broken", "section broken",
		"included file broken", "included file gone", "shared upstream broken", "overlay broken", "listener added and removed",
		"wire broken by an IDL", "watch symlink swap", "watch editor rename", "watch folder replaced", "watch file that never rests",
		"watch broken IDL repaired", "secret of a file",
	},
	"Hostile input": {
		"negative frame length", "huge frame length", "frame length one beyond the limit", "frame length one short", "zero frame",
		"length 2^31-1 with a short body", "string size beyond what may follow", "list size beyond what may follow",
		"set size beyond what may follow", "map size beyond what may follow", "list of 2^31-1 bool", "list of 2^31-1 empty structs",
		"depth 10^4, structs", "unknown type id of a field", "type mismatch to IDL", "missing STOP",
		"compact: a field's id overflows", "compact: a field's id goes down", "compact: varint of eleven bytes", "compact: bad bool", "bad bool", "invalid UTF-8 in an argument", "NaN", "infinity",
		"duplicate map keys", "duplicate fields", "missing required", "message type 5", "REPLY to server", "EXCEPTION malformed",
		"empty method name", "1 MiB method name", "NUL and CRLF in header keys", "oversized header block", "bad header lengths",
		"unknown transforms", "zlib bomb", "bad magic", "TLS to plain port", "plain Thrift to a TLS port", "HTTP: a length and chunks", "HTTP: two lengths",
		"HTTP: a bare line feed", "HTTP: a chunk longer than its size", "HTTP: responses in responses", "HTTP: 257 header lines",
		"ThriftPy's JSON: depth 10^4", "Apache's JSON: depth 10^4", "ThriftPy's JSON: numbers out of range",
		"Apache's JSON: numbers out of range", "ThriftPy's JSON: bad base64", "trailing garbage", "slow drip, buffered, strict=true",
		"truncated and split at every offset", "connection flood", "slow readers", "one noisy caller",
	},
	"Hostile IDL": {
		"unterminated comment", "unterminated string", "unterminated struct", "cyclic include", "self-typedef", "duplicate ids",
		"huge constants", "deep nesting of values", "deep nesting of types", "BOM", "path escape in include",
	},
}

// Every planned case is listed, with its test or with the reason for having none; and of this package's tests, each listed one is there:
// a group's test runs its cases under their names.
func TestEveryCaseIsListed(t *testing.T) {
	files, err := filepath.Glob("*.rows")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			if len(f) != 4 {
				t.Errorf("%s: %q has %d fields, want 4", file, line, len(f))
				continue
			}
			listed[f[0]] = append(listed[f[0]], f[1])
			if f[2] == "./test/faults" && !strings.HasSuffix(f[3], "/"+strings.ReplaceAll(f[1], " ", "_")) {
				t.Errorf("%s: the test %s does not bear the name %q", file, f[3], f[1])
			}
		}
	}
	for group, names := range planned {
		for _, name := range names {
			if !slices.Contains(listed[group], name) {
				t.Errorf("%s: %q is not listed", group, name)
			}
		}
	}
}
