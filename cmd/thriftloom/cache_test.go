package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/gateway/status"
	"github.com/thriftloom/thriftloom/internal/fakepeer"
	"github.com/thriftloom/thriftloom/internal/peertest"
)

// startCached runs a gateway that keeps the replies of Users.getUser, with more at the end of its config. It returns what asks it: a command, and
// a call of a user, as JSON of the arguments.
func startCached(t *testing.T, more string) (ask func(stdin string, args ...string) ran, call func(args string)) {
	t.Helper()
	user := fakepeer.Answer{Body: body(t, "getUser", `{"success": {"id": 7, "name": "Ada", "role": "OWNER"}}`)}
	_, server := servePeer(t, answer(user), nil)
	dir, err := os.MkdirTemp("", "thriftloom-cache") // short: unix sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "thriftloom.yaml")
	for path, text := range map[string]string{
		config: `
listen: "unix:u.sock"
admin: {address: "unix:a.sock", token_file: token}
services:
  Users:
    idl: users.thrift
    timeout: 5s
    upstream: {endpoints: ["` + server + `"]}
    methods:
      getUser: {cache: {ttl: 10m, tags: ["user:{id}"]}}
      ping: {cache: {invalidates: [getUser]}}
` + more,
		filepath.Join(dir, "users.thrift"): usersIDL, filepath.Join(dir, "token"): "s3cret\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wait := startUp(t, "up", "-c", config)
	env := []string{"THRIFTLOOM_ADMIN=unix:" + filepath.Join(dir, "a.sock"), "THRIFTLOOM_TOKEN=s3cret"}
	ask = func(stdin string, args ...string) ran { t.Helper(); return runIn(stdin, args, env...) }
	t.Cleanup(func() {
		if got := ask("", "drain"); got.code != 0 {
			t.Errorf("drain: %+v", got)
		}
		wait()
	})
	return ask, func(args string) {
		t.Helper()
		if got := runIn("", []string{"call", "-c", config, "Users.getUser", args}); got.code != 0 {
			t.Errorf("call: %+v", got)
		}
	}
}

// The commands show what a running gateway keeps, and make void what they name and no more.
func TestCacheCommands(t *testing.T) {
	ask, call := startCached(t, "")
	const nothing = "thriftloom: nothing is kept\n"
	file := writeFile(t, "seven.json", `{"id": 7}`)
	kept := func(id string) bool {
		t.Helper()
		got := ask("", "cache", "get", "Users.getUser", `{"id": `+id+`}`)
		if got.code > 1 || got.code == 1 && got.errout != nothing {
			t.Errorf("get %s: %+v", id, got)
		}
		return got.code == 0
	}
	form := regexp.MustCompile(`^Users.getUser: in near, \S+ old, fresh for \S+, \d+ B\n\{"id":7,"name":"Ada","role":"OWNER"\}\n$`)
	if kept("7") {
		t.Error("a reply is kept before the first call")
	}
	for _, tt := range []struct {
		purge []string
		out   string
		left  bool // the reply to a call with 8
	}{
		{[]string{"Users.getUser", `{"id": 7}`}, "purged: the replies to that call of Users.getUser\n", true},
		{[]string{"Users/getUser", "-d", "@" + file}, "purged: the replies to that call of Users.getUser\n", true},
		{[]string{"Users", "--tag", "user:7"}, "purged: the replies of Users with that tag\n", true},
		{[]string{"Users.getUser"}, "purged: the replies of Users.getUser\n", false},
		{[]string{"Users"}, "purged: the replies of Users\n", false},
		{[]string{"Users/"}, "purged: the replies of Users\n", false},
		{[]string{"--all"}, "purged: all replies\n", false},
	} {
		call(`{"id": 7}`)
		call(`{"id": 8}`)
		if got := ask(`{"id": 7}`, "cache", "get", "Users/getUser", "-d", "-"); got.code != 0 || !form.MatchString(got.out) {
			t.Errorf("get: %+v", got)
		}
		if got := ask("", append([]string{"cache", "purge"}, tt.purge...)...); got.code != 0 || got.out != tt.out || got.errout != "" {
			t.Errorf("purge %v: %+v", tt.purge, got)
		}
		if kept("7") || kept("8") != tt.left {
			t.Errorf("after purge %v: %v and %v are kept, want false and %v", tt.purge, kept("7"), kept("8"), tt.left)
		}
	}
	call(`{"id": 7}`)
	if got := ask("", "cache", "get", "Users.getUser", `{"id": 7}`, "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"where": "near",`) {
		t.Errorf("get -o json: %+v", got)
	}
	if got := ask("", "cache", "purge", "Users", "-o", "json"); got.code != 0 ||
		strings.Join(strings.Fields(got.out), "") != `{"purged":"service","service":"Users","untold":[]}` {
		t.Errorf("purge -o json: %+v", got)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "Nobody.getUser"}, "unknown service: Nobody (404)"},
		{[]string{"get", "Users.nothing"}, "unknown method: Users.nothing (404)"},
		{[]string{"get", "Users.ping"}, "Users.ping: its replies are not kept (422)"},
		{[]string{"get", "Users.getUser", `{"id": "x"}`}, `$.id: expected i64, found string "x" (422)`},
		{[]string{"get", "Users.getUser", "{}", "-H", "cache-control=no-cache"}, "no place in the cache: header (422)"},
		{[]string{"purge", "Nobody"}, "unknown service: Nobody (404)"},
		{[]string{"purge", "Users.getUser", `{"idd": 7}`}, `$.idd: no argument "idd" in getUser; did you mean "id"?`},
		{[]string{"stats", "Users.nothing"}, "Users.nothing has no cache"},
	} {
		if got := ask("", append([]string{"cache"}, tt.args...)...); got.code != 1 || got.out != "" || !strings.Contains(got.errout, tt.want) {
			t.Errorf("%v: %+v", tt.args, got)
		}
	}
	if got := ask("", "cache", "stats", "Users.getUser"); got.code != 0 || !strings.Contains(got.out, "\nUsers/getUser ") || strings.Contains(got.out, "ping") {
		t.Errorf("stats: %+v", got)
	}
	if got := ask("", "cache", "stats", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"method": "getUser",`) {
		t.Errorf("stats -o json: %+v", got)
	}
	if got := ask("", "status"); !strings.Contains(got.out, "\ncache: ") || !strings.Contains(got.out, "\nUsers/getUser ") {
		t.Errorf("status: %+v", got)
	}
	for begun, want := range map[string]string{"": "Users\nUsers.getUser\n:4\n", "Users/": "Users/getUser\n:4\n", "Nobody": ":4\n"} {
		if got := ask("", "__complete", "cache", "purge", begun); got.out != want {
			t.Errorf("completing %q: %+v", begun, got)
		}
	}
}

// While Redis does not answer a purge holds at the gateway, and a warning says who has still to be told; what only Redis may have is not said to
// be nothing.
func TestCacheCommandsWithoutStore(t *testing.T) {
	redis := peertest.StartRedis(t)
	ask, call := startCached(t, "stores: {patience: 1s, redis: \""+redis.Address+"\"}\n")
	call(`{"id": 7}`)
	get := []string{"cache", "get", "Users.getUser", `{"id": 7}`}
	if got := ask("", get...); got.code != 0 {
		t.Errorf("get: %+v", got)
	}
	redis.Kill()
	got := ask("", "cache", "purge", "Users.getUser", `{"id": 7}`)
	if got.code != 0 || !strings.HasPrefix(got.out, "purged: ") || !strings.HasPrefix(got.errout, "warning: not told yet, since it does not answer: redis. ") {
		t.Errorf("purge: %+v", got)
	}
	if got := ask("", get...); got.code != 1 || !strings.Contains(got.errout, "the store does not answer") {
		t.Errorf("get: %+v", got)
	}
	if got := ask("", "cache", "stats"); !regexp.MustCompile(`\nredis: .*to be told of invalidations: [1-9]`).MatchString(got.out) {
		t.Errorf("stats: %+v", got)
	}
	redis.Start()
	peertest.Eventually(t, "redis has been told", func() bool {
		return strings.Contains(ask("", "cache", "stats").out, "\nredis: up\n")
	})
	if got := ask("", get...); got.code != 1 || got.errout != "thriftloom: nothing is kept\n" {
		t.Errorf("get: %+v", got)
	}
}

// What one gateway has put into Redis another one shows, and makes void for both.
func TestCacheCommandsOfTwoGateways(t *testing.T) {
	more := "stores: {patience: 1s, redis: \"" + peertest.StartRedis(t).Address + "\"}\n"
	ask, call := startCached(t, more)
	askOther, callOther := startCached(t, more)
	get := []string{"cache", "get", "Users.getUser", `{"id": 7}`}
	call(`{"id": 7}`)
	peertest.Eventually(t, "the reply is in Redis", func() bool {
		got := askOther("", get...)
		return got.code == 0 && strings.HasPrefix(got.out, "Users.getUser: in redis, ") && strings.HasSuffix(got.out, `"Ada","role":"OWNER"}`+"\n")
	})
	callOther(`{"id": 7}`)
	got := askOther("", "cache", "stats", "Users.getUser", "-o", "json")
	if got.code != 0 || !strings.Contains(got.out, `"stored": 1`) || strings.Contains(got.out, `"miss"`) {
		t.Errorf("stats of the gateway that has loaded nothing: %+v", got)
	}
	if got := askOther("", "cache", "purge", "Users", "--tag", "user:7"); got.code != 0 || got.errout != "" {
		t.Errorf("purge: %+v", got)
	}
	if got := askOther("", get...); got.code != 1 || got.errout != "thriftloom: nothing is kept\n" {
		t.Errorf("get where it was purged: %+v", got)
	}
	peertest.Eventually(t, "the first gateway has heard of it", func() bool {
		got := ask("", get...)
		return got.code == 1 && got.errout == "thriftloom: nothing is kept\n"
	})
}

// The tables are what an operator reads: totals, parts, and what is not as it should be.
func TestCacheText(t *testing.T) {
	r := &status.CacheReport{
		Cache: status.Cache{Entries: 1234, Bytes: 12<<20 + 300<<10, MaxBytes: 64 << 20, Evictions: 5, Stores: []status.Store{
			{Name: "redis", Up: true, Tracks: true}, {Name: "memcached", Up: true}, {Name: "redis", Owed: 12},
		}},
		Methods: []status.CachedMethod{
			{Service: "Users", Method: "getUser", Cached: status.Cached{
				HitRatio: 0.9, Calls: map[string]int64{"hit": 60, "stored": 20, "stale": 5, "stale_if_error": 3, "coalesced": 2, "miss": 8, "bypass": 2},
				MeanAgeSeconds: 12.3456, Entries: 1234, Bytes: 999, Evictions: 5, Failures: 4,
			}},
			{Service: "Users", Method: "putUser", Cached: status.Cached{Invalidations: 17}},
		},
	}
	head := `cache: 12.3 MiB of 64 MiB, replies 1234, evictions 5
redis: up
memcached: up, does not tell what changes
redis: DOES NOT ANSWER, each gateway keeps replies for itself, to be told of invalidations: 12
`
	want := head + `
METHOD         CALLS  HIT RATIO  STORED  STALE         COALESCED  MISSES  BYPASSED  MEAN AGE  ENTRIES  BYTES  EVICTIONS  MADE VOID
Users/getUser  100    90.0%      20      8 (3 on error)  2          8       2         12.35s    1234     999 B  5          0
Users/putUser  0      -          0       0             0          0       0         0s        0        0 B    0          17
`
	squeeze := func(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }
	if diff := cmp.Diff(squeeze(want), squeeze(cacheText(r))); diff != "" {
		t.Error(diff)
	}
	s := &status.Snapshot{Cache: &r.Cache, Services: []status.Service{{Name: "Users", Methods: []status.Method{
		{Name: "getUser", Cache: &r.Methods[0].Cached}, {Name: "putUser", Cache: &r.Methods[1].Cached}, {Name: "ping"},
	}}}}
	got := squeeze(statusText(s))
	for _, want := range []string{head, "\nCACHE CALLS HIT RATIO ON ERROR MISSES MEAN AGE ENTRIES BYTES FAILED LOADS\nUsers/getUser 100 90.0% 3 8 12.35s 1234 999 B 4\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("status lacks %q:\n%s", want, statusText(s))
		}
	}
	if strings.Contains(got, "Users/putUser") {
		t.Errorf("status shows the cache of a method without calls:\n%s", got)
	}
	if got := cacheText(&status.CacheReport{}); got != "no method has a cache\n" {
		t.Errorf("no cache: %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 10: "1 KiB", 1<<20 - 1: "1 MiB", 1536 << 10: "1.5 MiB", 5 << 40: "5 TiB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	for want, reply := range map[string]status.CachedReply{
		"in redis, 3.2s old, fresh for 26.8s, 124 B":                    {Where: "redis", AgeSeconds: 3.2, FreshSeconds: 26.8, Bytes: 124},
		"in near, 1m0s old, stale for 30s, exception NotFound, 1.5 KiB": {Where: "near", AgeSeconds: 60, FreshSeconds: -30, Bytes: 1536, Exception: "NotFound"},
	} {
		if got := keptText(&reply); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
