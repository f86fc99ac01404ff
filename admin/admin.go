// Package admin is the HTTP API over a gateway's snapshot, and the dashboard that draws it.
//
//	GET    /                              dashboard
//	GET    /metrics /livez                probes; also on the read-only health listener
//	GET    /readyz[?service=NAME]         200 or 503; ?verbose tells more
//	GET    /api/v1/snapshot               status.Snapshot
//	POST   /api/v1/reload                 read the configuration anew
//	POST   /api/v1/drain                  begin to finish
//	POST   /api/v1/services/NAME/scale    {"replicas": 4} pins, DELETE unpins
//	GET    /api/v1/cache                  status.CacheReport: of the snapshot, what is said of the cache
//	DELETE /api/v1/cache[?service=NAME[&method=NAME]]   makes replies void: all, of a service or of a method; cache.go
//	POST   /api/v1/cache/get              what is kept of the reply to a call; needs what a change needs; cache.go
//	GET    /debug/pprof/NAME              Go's profiles, where Config.Profiles allows: profile, trace, heap, goroutine, …
//
// An error is {"error": "text"} with a status that fits. Who may do what: guard.go.
package admin

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/pprof" // registers at http.DefaultServeMux too, which nothing here serves

	"github.com/thriftloom/thriftloom/gateway/status"
)

// Gateway is what the API shows and changes. Its methods are safe for concurrent use. Errors are shown to the one who asks.
type Gateway interface {
	// Snapshot returns the gateway at this moment, to be written as JSON: a status.Snapshot.
	Snapshot() any
	// Live returns why the process should be restarted; nil where it should not.
	Live() error
	// Ready reports whether calls should be sent here: for service, or for the whole where it is "". The reasons say what is missing.
	// What is worth knowing of a ready gateway may stand there too.
	Ready(service string) (ok bool, reasons []string)
	// Reload reads the configuration anew and returns what came of it. It returns an error where nothing was changed.
	// Services keep what they were where they would lose methods, unless force.
	Reload(ctx context.Context, force bool) (any, error)
	// Drain begins to finish, and does not wait for the end.
	Drain(ctx context.Context) error
	// Scale pins the replicas of a service and returns how many there will be. status.ErrUnknownService, or why it cannot be.
	Scale(service string, n int) (int, error)
	// Unscale ends the pin and returns how many replicas there will be. status.ErrUnknownService, or why it cannot be.
	Unscale(service string) (int, error)
	// CacheReport returns the cache at this moment.
	CacheReport() status.CacheReport
	// PurgeCache makes replies void. status.ErrUnknownService, status.ErrUnknownMethod, or why it cannot be.
	PurgeCache(ctx context.Context, what status.Purge) (status.Purged, error)
	// CachedReply returns what is kept of the reply to a call; ok is false where nothing is. The errors are those of PurgeCache, and
	// status.ErrStore.
	CachedReply(ctx context.Context, of status.CachedCall) (r status.CachedReply, ok bool, err error)
}

// Config says who may do what.
type Config struct {
	// Token returns what is asked of whoever changes something, and of whoever reads beyond loopback. It is asked for each request, so
	// that tokens may change. "": there is none, and changes come from loopback only. nil is "" for ever.
	Token func() string
	// ReadOnly leaves /livez, /readyz and /metrics only, open to all: the health listener.
	ReadOnly bool
	// Loopback says that the listener is reached from this machine only.
	Loopback bool
	// Metrics answers /metrics; nil: not found.
	Metrics http.Handler
	// Profiles says whether /debug/pprof/ is open, and is asked for each request; where a token is set they need it. nil: never.
	Profiles func() bool
	// Audit gets a line for every change and every look at a reply that is kept, done or refused; nil: none.
	Audit *slog.Logger
}

//go:embed ui
var uiFiles embed.FS

// NewHandler returns the API over g.
func NewHandler(cfg Config, g Gateway) http.Handler {
	if cfg.Audit == nil {
		cfg.Audit = slog.New(slog.DiscardHandler)
	}
	if cfg.Token == nil {
		cfg.Token = func() string { return "" }
	}
	a := &api{cfg: cfg, gateway: g}
	mux := http.NewServeMux()
	mux.Handle("/livez", methods{"GET": a.live})
	mux.Handle("/readyz", methods{"GET": a.ready})
	if cfg.Metrics != nil {
		mux.Handle("/metrics", methods{"GET": cfg.Metrics.ServeHTTP})
	}
	if cfg.ReadOnly {
		return withHeaders(mux)
	}
	ui, err := fs.Sub(uiFiles, "ui")
	if err != nil {
		panic(err) // the folder is embedded
	}
	files := http.FileServerFS(ui)
	mux.Handle("/{$}", methods{"GET": files.ServeHTTP})
	mux.Handle("/ui/{file}", methods{"GET": http.StripPrefix("/ui", files).ServeHTTP})
	mux.Handle("/api/v1/snapshot", methods{"GET": a.snapshot})
	mux.Handle("/api/v1/reload", methods{"POST": a.change("reload", a.reload)})
	mux.Handle("/api/v1/drain", methods{"POST": a.change("drain", a.drain)})
	mux.Handle("/api/v1/cache", methods{"GET": a.cache, "DELETE": a.change("purge cache", a.purge)})
	mux.Handle("/api/v1/cache/get", methods{"POST": a.change("look at a kept reply", a.kept)})
	mux.Handle("/api/v1/services/{service}/scale", methods{
		"POST": a.change("scale", a.scale), "DELETE": a.change("unscale", a.unscale),
	})
	mux.Handle("/debug/pprof/", methods{"GET": a.profile(pprof.Index)})
	mux.Handle("/debug/pprof/profile", methods{"GET": a.profile(pprof.Profile)})
	mux.Handle("/debug/pprof/trace", methods{"GET": a.profile(pprof.Trace)})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) { fail(w, http.StatusNotFound, errors.New("no such path")) })
	return withHeaders(a.guard(mux))
}

// withHeaders adds to every answer what keeps a browser from doing with it what was not meant.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
