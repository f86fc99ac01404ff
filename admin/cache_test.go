package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thriftloom/thriftloom/gateway/status"
)

func (g *fakeGateway) CacheReport() status.CacheReport {
	return status.CacheReport{
		Cache:   status.Cache{Stores: []status.Store{{Name: "redis", Up: true, Tracks: true}}},
		Methods: []status.CachedMethod{{Service: "Users", Method: "getUser"}},
	}
}

// knows is what the gateway says of a call: Users has getUser, whose replies are kept, and ping.
func (*fakeGateway) knows(service, method string, arguments json.RawMessage) error {
	switch {
	case service != "Users":
		return fmt.Errorf("%w: %s", status.ErrUnknownService, service)
	case method == "ping":
		return fmt.Errorf("Users.ping: %w", status.ErrNotCached)
	case method != "getUser" && method != "":
		return fmt.Errorf("%w: Users.%s", status.ErrUnknownMethod, method)
	case strings.Contains(string(arguments), "s3cret"):
		return fmt.Errorf("%w Users.getUser:\n$.id: expected i64, found %s", status.ErrArguments, arguments)
	}
	return nil
}

func (g *fakeGateway) PurgeCache(ctx context.Context, what status.Purge) (status.Purged, error) {
	done := status.Purged{Purged: "all", Service: what.Service, Method: what.Method, Untold: []string{}}
	if what.Tag == "owed" {
		done.Untold = []string{"redis"}
	}
	if what.Service != "" {
		if err := g.knows(what.Service, what.Method, what.Arguments); err != nil {
			return status.Purged{}, err
		}
		done.Purged = "some"
	}
	g.did1(ctx, fmt.Sprintf("purge %s.%s %s %s", what.Service, what.Method, what.Arguments, what.Tag))
	return done, nil
}

func (g *fakeGateway) CachedReply(ctx context.Context, of status.CachedCall) (status.CachedReply, bool, error) {
	if err := g.knows(of.Service, of.Method, of.Arguments); err != nil {
		return status.CachedReply{}, false, err
	}
	if len(of.Caller) > 1 {
		return status.CachedReply{}, false, fmt.Errorf("%w: too slow", status.ErrStore)
	}
	g.did1(ctx, fmt.Sprintf("get %s.%s %s %v %v", of.Service, of.Method, of.Arguments, of.Caller, of.Headers))
	return status.CachedReply{Where: "near", Bytes: 7, Value: json.RawMessage(`"s3cret"`)}, len(of.Caller) == 0, nil
}

// A purge is what the query and the body say, and what is said wrongly makes nothing void; a look at a reply is what the body says.
func TestCacheRoutes(t *testing.T) {
	const get = "POST /api/v1/cache/get"
	for _, tt := range []struct {
		request, body string
		status        int
		want          string // in the answer, blanks taken out
		did           string
	}{
		{"DELETE /api/v1/cache", "", 200, `{"purged":"all","untold":[]}`, "purge .  "},
		{"DELETE /api/v1/cache", "{}", 200, `{"purged":"all","untold":[]}`, "purge .  "},
		{"DELETE /api/v1/cache?service=Users", "", 200, `{"purged":"some","service":"Users","untold":[]}`, "purge Users.  "},
		{"DELETE /api/v1/cache?service=Users&method=getUser", "", 200, `{"purged":"some","service":"Users","method":"getUser","untold":[]}`, "purge Users.getUser  "},
		{"DELETE /api/v1/cache?service=Users&method=getUser", `{"arguments": {"id": 7}}`, 200, `"method":"getUser"`, `purge Users.getUser {"id": 7} `},
		{"DELETE /api/v1/cache?service=Users", `{"tag": "user:7"}`, 200, `"purged":"some"`, "purge Users.  user:7"},
		{"DELETE /api/v1/cache?service=Users", `{"tag": "owed"}`, 200, `"untold":["redis"]`, "purge Users.  owed"},

		{"DELETE /api/v1/cache?service=Nobody", "", 404, `{"error":"unknownservice:Nobody"}`, ""},
		{"DELETE /api/v1/cache?service=Users&method=nothing", "", 404, `{"error":"unknownmethod:Users.nothing"}`, ""},
		{"DELETE /api/v1/cache?service=Users&method=ping", "", 422, `{"error":"Users.ping:itsrepliesarenotkept"}`, ""},
		{"DELETE /api/v1/cache?service=Users&method=getUser", `{"arguments": "s3cret"}`, 422, `expectedi64,found\"s3cret\"`, ""},

		{"DELETE /api/v1/cache?servce=Users", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?service=", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?service=Users&method=", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?service=Users&service=Orders", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?service=Users&tag=user:7", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?service=Users;method=getUser", "", 400, "query:want", ""},
		{"DELETE /api/v1/cache?method=getUser", "", 400, "serviceismissing", ""},
		{"DELETE /api/v1/cache", `{"tag": "user:7"}`, 400, "serviceismissing", ""},
		{"DELETE /api/v1/cache?service=Users", `{"arguments": {}}`, 400, "methodismissing", ""},
		{"DELETE /api/v1/cache?service=Users", `{"tag": ""}`, 400, `\"tag\"isempty`, ""},
		{"DELETE /api/v1/cache?service=Users&method=getUser", `{"tag": "user:7"}`, 400, "nameamethodoratag", ""},
		{"DELETE /api/v1/cache?service=Users", `{"tags": "user:7"}`, 400, `unknownfield\"tags\"`, ""},
		{"DELETE /api/v1/cache?service=Users", strings.Repeat(" ", 1<<20+1), 413, "morethan1048576bytes", ""},

		{get, `{"service": "Users", "method": "getUser", "arguments": {"id": 7}}`, 200,
			`{"kept":{"where":"near","age_seconds":0,"fresh_seconds":0,"bytes":7,"value":"s3cret"}}`, `get Users.getUser {"id": 7} [] map[]`},
		{get, `{"service": "Users", "method": "getUser", "caller": ["web"], "headers": {"x-locale": "de"}}`, 200, `{"kept":null}`,
			"get Users.getUser  [web] map[x-locale:de]"},
		{get, `{"service": "Users", "method": "getUser", "caller": ["web", "b"]}`, 503, "thestoredoesnotanswer", ""},
		{get, `{"service": "Nobody", "method": "getUser"}`, 404, "unknownservice", ""},
		{get, `{"service": "Users", "method": "nothing"}`, 404, "unknownmethod", ""},
		{get, `{"service": "Users", "method": "ping"}`, 422, "notkept", ""},
		{get, ``, 400, "empty", ""},
		{get, `{"service": "Users", "argument": {}}`, 400, "unknownfield", ""},
	} {
		g := &fakeGateway{}
		w := ask(NewHandler(Config{Loopback: true}, g), tt.request, tt.body)
		got := strings.Join(strings.Fields(w.Body.String()), "")
		if w.Code != tt.status || !strings.Contains(got, tt.want) || strings.Join(g.did, ",") != tt.did {
			t.Errorf("%s %.60s: %d %s, did %q; want %d %s, %q", tt.request, tt.body, w.Code, got, g.did, tt.status, tt.want, tt.did)
		}
		if len(g.did) > 0 && (!g.bounded || g.ctxErr != nil) {
			t.Errorf("%s: its context has a deadline: %v, %v", tt.request, g.bounded, g.ctxErr)
		}
	}
}

// What the cache is made to do leaves an audit line that says of which calls, and no value of an argument, of a tag or of a reply.
func TestCacheAudit(t *testing.T) {
	const (
		purge, get   = "DELETE /api/v1/cache?service=Users&method=getUser", "POST /api/v1/cache/get"
		by           = " remote=192.0.2.1:1234 by=token"
		token, wrong = "Authorization: Bearer s3cret", "Authorization: Bearer s3creT"
	)
	for _, tt := range []struct{ request, body, header, want string }{
		{"DELETE /api/v1/cache", ``, token, `action="purge cache" outcome=done status=200` + by},
		{purge, `{"arguments": {"id": "s3cre7"}}`, token, `action="purge cache" outcome=done status=200` + by + ` service=Users method=getUser arguments=true`},
		{"DELETE /api/v1/cache?service=Users", `{"tag": "owed"}`, token, `action="purge cache" outcome=done status=200` + by + ` service=Users tag=true untold=[redis]`},
		{purge, `{"arguments": "s3cret"}`, token,
			`action="purge cache" outcome=failed status=422` + by + ` service=Users method=getUser arguments=true error="the arguments do not fit"`},
		{purge, `{"tag": 5555}`, token, `action="purge cache" outcome=failed status=400` + by + ` service=Users method=getUser error="the body is wrong"`},
		{"DELETE /api/v1/cache?service=Users&tag=s3cret", ``, token,
			`action="purge cache" outcome=failed status=400` + by + ` error="query: want service=NAME and method=NAME; \"arguments\" and \"tag\" stand in the body"`},
		{get, `{"service": "Users", "method": "getUser", "arguments": {"id": 5555}}`, token,
			`action="look at a kept reply" outcome=done status=200` + by + ` service=Users method=getUser arguments=true where=near`},
		{get, `{"service": "Users", "method": "getUser", "caller": ["web"]}`, token,
			`action="look at a kept reply" outcome=done status=200` + by + ` service=Users method=getUser`},
		{get, `{"service": "Users", "method": "getUser", "arguments": "s3cret"}`, token,
			`action="look at a kept reply" outcome=failed status=422` + by + ` service=Users method=getUser arguments=true error="the arguments do not fit"`},
		{get, `{"service": 5555}`, token, `action="look at a kept reply" outcome=failed status=400` + by + ` error="the body is wrong"`},
		{get, `{}`, wrong,
			`action="POST /api/v1/cache/get" outcome="refused: the token is missing or wrong" status=401 remote=192.0.2.1:1234 by="wrong token"`},
		{"DELETE /api/v1/cache?service=s3cret", ``, wrong,
			`action="DELETE /api/v1/cache" outcome="refused: the token is missing or wrong" status=401 remote=192.0.2.1:1234 by="wrong token"`},
		{"GET /api/v1/cache", ``, token, ``},
	} {
		got := audited(tt.request, tt.body, tt.header)
		if got != tt.want || strings.Contains(got, "s3cret") || strings.Contains(got, "5555") {
			t.Errorf("%s %s:\n%s\nwant\n%s", tt.request, tt.body, got, tt.want)
		}
	}
}

// To look at a reply takes what a change takes; the numbers take what reading takes.
func TestCacheGuard(t *testing.T) {
	local := Config{Loopback: true, Token: fixed("s3cret")}
	const body = `{"service": "Users", "method": "getUser"}`
	for _, tt := range []struct {
		request string
		headers []string
		cfg     Config
		status  int
	}{
		{"GET /api/v1/cache", nil, local, 200},
		{"GET /api/v1/cache", nil, Config{Token: fixed("s3cret")}, 401},
		{"POST /api/v1/cache/get", nil, Config{Loopback: true}, 200},
		{"POST /api/v1/cache/get", nil, local, 401},
		{"POST /api/v1/cache/get", []string{"Authorization: Basic YW55OnMzY3JldA=="}, local, 401},
		{"POST /api/v1/cache/get", []string{"Authorization: Bearer s3cret"}, local, 200},
		{"POST /api/v1/cache/get", []string{"Authorization: Bearer s3cret", "Origin: https://evil.example"}, local, 403},
		{"POST /api/v1/cache/get", []string{"Host: evil.example"}, Config{Loopback: true}, 403},
		{"DELETE /api/v1/cache?service=Users", nil, local, 401},
		{"DELETE /api/v1/cache?service=Users", []string{"Authorization: Bearer s3cret"}, local, 200},
	} {
		sent := body
		if strings.HasPrefix(tt.request, "DELETE") {
			sent = ""
		}
		g := &fakeGateway{}
		if w := ask(NewHandler(tt.cfg, g), tt.request, sent, tt.headers...); w.Code != tt.status || (w.Code >= 400 && len(g.did) > 0) {
			t.Errorf("%s %v: %d %s, did %q; want %d", tt.request, tt.headers, w.Code, w.Body, g.did, tt.status)
		}
	}
}

// The keys of what the API says of the cache are the documented ones.
func TestCacheJSON(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{status.CacheReport{Methods: []status.CachedMethod{{Cached: status.Cached{Tags: []string{"user:{id}"}, Invalidates: []string{"listUsers"}}}}},
			`{"entries":0,"bytes":0,"max_bytes":0,"evictions":0,"stores":null,"methods":[{"service":"","method":"","ttl_seconds":0,"tags":["user:{id}"],` +
				`"invalidates":["listUsers"],"hit_ratio":0,"calls":null,"bypassed":null,"mean_age_seconds":0,"loads":0,"refreshes":0,"failures":0,` +
				`"invalidations":0,"evictions":0,"entries":0,"bytes":0}]}`},
		{status.Store{}, `{"name":"","up":false,"owed":0,"tracks":false}`},
		{status.CachedReply{Exception: "NotFound"}, `{"where":"","age_seconds":0,"fresh_seconds":0,"bytes":0,"exception":"NotFound"}`},
	} {
		got, err := json.Marshal(tt.v)
		if diff := cmp.Diff(tt.want, string(got)); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}
