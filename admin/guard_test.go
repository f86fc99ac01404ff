package admin

import (
	"testing"
)

const (
	get    = "GET /api/v1/snapshot"
	page   = "GET /"
	reload = "POST /api/v1/reload"
)

// fixed is a token that does not change.
func fixed(token string) func() string { return func() string { return token } }

// Who may do what: by listener, token, and where a browser says that the request is from.
func TestGuard(t *testing.T) {
	local := Config{Loopback: true}
	localToken := Config{Loopback: true, Token: fixed("s3cret")}
	remote := Config{Token: fixed("s3cret")}
	const profile = "GET /debug/pprof/goroutine"
	profiles := func(cfg Config) Config {
		cfg.Profiles = func() bool { return true }
		return cfg
	}
	const (
		token  = "Authorization: Bearer s3cret"
		wrong  = "Authorization: Bearer s3creT"
		basic  = "Authorization: Basic YW55OnMzY3JldA==" // any:s3cret
		basicX = "Authorization: Basic YW55Ondyb25n"     // any:wrong
	)
	for _, tt := range []struct {
		name    string
		cfg     Config
		request string
		headers []string
		status  int
	}{
		{"loopback, curl", local, reload, nil, 200},
		{"loopback, localhost", local, reload, []string{"Host: LocalHost:9091"}, 200},
		{"loopback, bare name", local, reload, []string{"Host: localhost"}, 200},
		{"loopback, IPv6", local, reload, []string{"Host: [::1]:9091"}, 200},
		{"loopback, bare IPv6", local, reload, []string{"Host: [::1]"}, 200},
		{"loopback, 127.1.2.3", local, reload, []string{"Host: 127.1.2.3"}, 200},
		{"loopback, its own page", local, reload, []string{"Origin: http://127.0.0.1:9091", "Sec-Fetch-Site: same-origin"}, 200},
		{"loopback, typed by the user", local, reload, []string{"Sec-Fetch-Site: none"}, 200},

		{"rebinding: another name changes nothing", local, reload, []string{"Host: evil.example:9091"}, 403},
		{"rebinding: another name reads nothing", local, get, []string{"Host: evil.example:9091"}, 403},
		{"rebinding: a name that begins like one", local, reload, []string{"Host: localhost.evil.example"}, 403},
		{"rebinding: an address in a name", local, reload, []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"rebinding: same-origin by its own word", local, reload, []string{"Host: evil.example", "Origin: http://evil.example", "Sec-Fetch-Site: same-origin"}, 403},
		{"no host", local, reload, []string{"Host: "}, 403},
		{"forgery: another site", local, reload, []string{"Origin: https://evil.example"}, 403},
		{"forgery: another port", local, reload, []string{"Origin: http://127.0.0.1:8080"}, 403},
		{"forgery: another loopback name", local, reload, []string{"Origin: http://localhost:9091"}, 403},
		{"forgery: a page without an origin", local, reload, []string{"Origin: null"}, 403},
		{"forgery: no URL", local, reload, []string{"Origin: :"}, 403},
		{"forgery: two origins", local, reload, []string{"Origin: http://127.0.0.1:9091", "Origin: https://evil.example"}, 403},
		{"forgery: cross-site without an origin", local, reload, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"forgery: same-site is another origin", local, reload, []string{"Sec-Fetch-Site: same-site"}, 403},
		{"forgery: DELETE", local, "DELETE /api/v1/services/Users/scale", []string{"Origin: https://evil.example"}, 403},
		{"a link from elsewhere shows the page", local, page, []string{"Sec-Fetch-Site: cross-site"}, 200},
		{"a probe by any name", local, "GET /livez", []string{"Host: gateway.example"}, 200},

		{"profiles are not open", local, profile, nil, 404},
		{"profiles, loopback", profiles(local), profile, nil, 200},
		{"profiles, loopback with a token", profiles(localToken), profile, nil, 401},
		{"profiles, the token", profiles(remote), profile, []string{token}, 200},
		{"profiles, rebinding", profiles(local), profile, []string{"Host: evil.example:9091"}, 403},

		{"loopback with a token, reading", localToken, get, nil, 200},
		{"loopback with a token, rebinding reads nothing", localToken, get, []string{"Host: evil.example:9091"}, 403},
		{"loopback with a token, any name with it", localToken, get, []string{token, "Host: gateway.example:9091"}, 200},
		{"loopback with a token, change without", localToken, reload, nil, 401},
		{"loopback with a token, change with", localToken, reload, []string{token}, 200},
		{"loopback with a token, forgery", localToken, reload, []string{token, "Origin: https://evil.example"}, 403},

		{"remote, change with", remote, reload, []string{token, "Host: gateway.example"}, 200},
		{"remote, its own page", remote, reload, []string{token, "Host: gw.example", "Origin: https://gw.example"}, 200},
		{"remote, scheme in lower case", remote, reload, []string{"Authorization: bearer s3cret"}, 200},
		{"remote, change without", remote, reload, nil, 401},
		{"remote, wrong token", remote, reload, []string{wrong}, 401},
		{"remote, empty token", remote, reload, []string{"Authorization: Bearer "}, 401},
		{"remote, token without a scheme", remote, reload, []string{"Authorization: s3cret"}, 401},
		{"remote, a longer token", remote, reload, []string{token + "x"}, 401},
		{"remote, reading without", remote, get, nil, 401},
		{"remote, reading with", remote, get, []string{token}, 200},
		{"remote, page without", remote, page, nil, 401},
		{"remote, page's script without", remote, "GET /ui/app.js", nil, 401},
		{"remote, page by a browser's password", remote, page, []string{basic}, 200},
		{"remote, page by a wrong password", remote, page, []string{basicX}, 401},
		{"remote, no change by a browser's password", remote, reload, []string{basic}, 401},
		{"remote, unknown path without", remote, "GET /x", nil, 401},
		{"remote, a probe's name is no way in", remote, "GET /livez/../api/v1/snapshot", nil, 401},
		{"remote, livez", remote, "GET /livez", nil, 200},
		{"remote, readyz", remote, "GET /readyz?verbose", nil, 200},

		{"remote without a token, reading", Config{}, get, nil, 403},
		{"remote without a token, change", Config{}, reload, nil, 403},
		{"remote without a token, loopback by its own word", Config{}, reload, []string{"Host: localhost"}, 403},
		{"remote without a token, an empty one", Config{}, reload, []string{"Authorization: Bearer "}, 403},
	} {
		g := &fakeGateway{}
		w := ask(NewHandler(tt.cfg, g), tt.request, "", tt.headers...)
		if w.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.status)
		}
		if w.Code >= 400 && len(g.did) > 0 {
			t.Errorf("%s: refused, and did %q", tt.name, g.did)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: WWW-Authenticate is %q", tt.name, w.Header().Get("WWW-Authenticate"))
		}
	}
}
