package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/thriftloom/thriftloom/gateway/status"
)

const (
	maxBodyBytes  = 1 << 20          // of a request; the longest sensible one has 20
	maxChangeTime = 30 * time.Second // of a reload, which reads a handful of files
)

type api struct {
	cfg     Config
	gateway Gateway
}

// methods is a path's handlers by method. HEAD is GET; what is missing is 405.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Method
	if name == http.MethodHead {
		name = http.MethodGet
	}
	handle := m[name]
	if handle == nil {
		allow := slices.Sorted(maps.Keys(m))
		w.Header().Set("Allow", strings.Join(allow, ", "))
		fail(w, http.StatusMethodNotAllowed, fmt.Errorf("%s is not possible here, %s is", r.Method, strings.Join(allow, " or ")))
		return
	}
	handle(w, r)
}

func (a *api) live(w http.ResponseWriter, _ *http.Request) {
	if err := a.gateway.Live(); err != nil {
		text(w, http.StatusServiceUnavailable, "not live", err.Error())
		return
	}
	text(w, http.StatusOK, "live")
}

func (a *api) ready(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	ok, reasons := a.gateway.Ready(query.Get("service"))
	switch {
	case !ok:
		text(w, http.StatusServiceUnavailable, "not ready", reasons...)
	case query.Has("verbose"):
		text(w, http.StatusOK, "ready", reasons...)
	default:
		text(w, http.StatusOK, "ready")
	}
}

func (a *api) snapshot(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, a.gateway.Snapshot())
}

// A change is one of the API's changes. It returns what is answered, and what it is about, for the audit line.
type change func(r *http.Request) (result any, about []slog.Attr, err error)

// statusError is an error with the status that tells it.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

// change answers with what c returns and leaves an audit line. A change that has begun is not broken off when the asker goes away.
func (a *api) change(action string, c change) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), maxChangeTime)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		result, about, err := c(r.WithContext(ctx))
		if err == nil {
			a.audit(r, action, "done", http.StatusOK, about...)
			answer(w, http.StatusOK, result)
			return
		}
		status := statusOf(err)
		a.audit(r, action, "failed", status, append(about, slog.String("error", loggable(err)))...)
		fail(w, status, err)
	}
}

func statusOf(err error) int {
	var withStatus statusError
	switch {
	case errors.As(err, &withStatus):
		return withStatus.status
	case errors.Is(err, status.ErrUnknownService), errors.Is(err, status.ErrUnknownMethod):
		return http.StatusNotFound
	case errors.Is(err, status.ErrStore):
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}

// audit leaves the line of a change: who, what, and what came of it.
func (a *api) audit(r *http.Request, action, outcome string, status int, about ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String("action", action), slog.String("outcome", outcome), slog.Int("status", status), slog.String("remote", r.RemoteAddr),
		slog.String("by", a.by(r)),
	}, about...)
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		leaf := r.TLS.PeerCertificates[0]
		attrs = append(attrs, slog.String("certificate", leaf.Subject.String()), slog.String("certificate_serial", leaf.SerialNumber.String()))
	}
	a.cfg.Audit.LogAttrs(r.Context(), slog.LevelInfo, "admin change", attrs...)
}

// by says what let the request in, or would have: a token is not told by more than that.
func (a *api) by(r *http.Request) string {
	switch token := a.cfg.Token(); {
	case token != "" && authorized(r, token, false):
		return "token"
	case r.Header.Get("Authorization") != "":
		return "wrong token"
	case token == "" && a.cfg.Loopback:
		return "loopback"
	}
	return "nobody"
}

func (a *api) reload(r *http.Request) (any, []slog.Attr, error) {
	force := r.URL.Query().Get("force") == "true"
	result, err := a.gateway.Reload(r.Context(), force)
	return result, []slog.Attr{slog.Bool("force", force)}, err
}

func (a *api) drain(r *http.Request) (any, []slog.Attr, error) {
	if err := a.gateway.Drain(context.WithoutCancel(r.Context())); err != nil { // its end is not ours
		return nil, nil, statusError{http.StatusInternalServerError, err}
	}
	return map[string]bool{"draining": true}, nil, nil
}

// scaled is the answer to a scale and to its undoing.
type scaled struct {
	Service  string `json:"service"`
	Replicas int    `json:"replicas"`
}

func (a *api) scale(r *http.Request) (any, []slog.Attr, error) {
	service := r.PathValue("service")
	about := []slog.Attr{slog.String("service", service)}
	var body struct {
		Replicas *int `json:"replicas"`
	}
	if err := decode(r.Body, &body); err != nil {
		return nil, about, err
	}
	if body.Replicas == nil {
		return nil, about, statusError{http.StatusBadRequest, errors.New(`body: "replicas" is missing`)}
	}
	about = append(about, slog.Int("replicas", *body.Replicas))
	n, err := a.gateway.Scale(service, *body.Replicas)
	return scaled{service, n}, about, err
}

func (a *api) unscale(r *http.Request) (any, []slog.Attr, error) {
	service := r.PathValue("service")
	n, err := a.gateway.Unscale(service)
	return scaled{service, n}, []slog.Attr{slog.String("service", service)}, err
}

// decode reads one JSON value and nothing after it. Keys that v does not have are mistakes.
func decode(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, after := d.Token(); after != io.EOF {
			err = errors.Join(errors.New("more than one value"), tooLarge(after))
		}
	}
	switch {
	case err == nil:
		return nil
	case tooLarge(err) != nil:
		return statusError{http.StatusRequestEntityTooLarge, fmt.Errorf("body: more than %d bytes", maxBodyBytes)}
	case errors.Is(err, io.EOF):
		err = errors.New("empty")
	}
	return statusError{http.StatusBadRequest, fmt.Errorf("body: %w", err)}
}

// tooLarge returns err if it says that the body is too large.
func tooLarge(err error) error {
	if is := new(http.MaxBytesError); errors.As(err, &is) {
		return err
	}
	return nil
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer // so that what cannot be written is an error, and not half an answer
	e := json.NewEncoder(&body)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the asker has gone
}

func fail(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}

// text writes what a probe answers: a word, and a line a reason.
func text(w http.ResponseWriter, status int, word string, reasons ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.Join(append([]string{word}, reasons...), "\n- ")+"\n") // the asker has gone
}

// profile answers with a profile where they are open.
func (a *api) profile(make http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.cfg.Profiles == nil || !a.cfg.Profiles() {
			fail(w, http.StatusNotFound, errors.New("profiles are not open: admin.profiles in the config opens them"))
			return
		}
		make(w, r)
	}
}
