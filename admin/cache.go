package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/thriftloom/thriftloom/gateway/status"
)

// Arguments tell one call from another, and tags are made of them. They stand in bodies, never in a query, which proxies log, and their values
// are in no audit line.

func (a *api) cache(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, a.gateway.CacheReport())
}

// purge makes void what the query and the body name: ?service=NAME&method=NAME, and {"arguments": {"id": 7}} of that method or {"tag": "user:7"}
// of the service. It answers with a status.Purged, with 200 also where a store has still to be told.
func (a *api) purge(r *http.Request) (any, []slog.Attr, error) {
	what, err := purgeOf(r)
	about := aboutCalls(what.Service, what.Method, what.Arguments != nil, what.Tag != "")
	if err != nil {
		return nil, about, err
	}
	done, err := a.gateway.PurgeCache(r.Context(), what)
	if len(done.Untold) > 0 {
		about = append(about, slog.Any("untold", done.Untold))
	}
	return done, about, err
}

// purgeOf reads what is to be void. Whatever is not understood there is refused: less said would be more void.
func purgeOf(r *http.Request) (what status.Purge, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	wrong := err != nil
	for name, values := range query {
		wrong = wrong || name != "service" && name != "method" || len(values) != 1 || values[0] == ""
	}
	if wrong {
		return what, statusError{http.StatusBadRequest, errors.New(`query: want service=NAME and method=NAME; "arguments" and "tag" stand in the body`)}
	}
	what.Service, what.Method = query.Get("service"), query.Get("method")
	var body struct {
		Arguments json.RawMessage `json:"arguments"`
		Tag       *string         `json:"tag"`
	}
	in := bufio.NewReader(r.Body)
	if _, err := in.Peek(1); err != io.EOF {
		if err := decode(in, &body); err != nil {
			return what, unloggable{err, "the body is wrong"}
		}
	}
	what.Arguments = body.Arguments
	if body.Tag != nil {
		what.Tag = *body.Tag
	}
	switch {
	case body.Tag != nil && what.Tag == "":
		err = errors.New(`body: "tag" is empty`)
	case what.Service == "" && (what.Method != "" || what.Arguments != nil || what.Tag != ""):
		err = errors.New("query: service is missing")
	case what.Method == "" && what.Arguments != nil:
		err = errors.New("query: method is missing")
	case what.Method != "" && what.Tag != "":
		err = errors.New("a tag is of a service: name a method or a tag")
	default:
		return what, nil
	}
	return what, statusError{http.StatusBadRequest, err}
}

// kept answers with {"kept": …}: a status.CachedReply, or null where nothing is. The body is a status.CachedCall.
func (a *api) kept(r *http.Request) (any, []slog.Attr, error) {
	var of status.CachedCall
	if err := decode(r.Body, &of); err != nil {
		return nil, nil, unloggable{err, "the body is wrong"}
	}
	about := aboutCalls(of.Service, of.Method, of.Arguments != nil, false)
	reply, ok, err := a.gateway.CachedReply(r.Context(), of)
	if err != nil || !ok {
		return map[string]any{"kept": nil}, about, err
	}
	return map[string]any{"kept": reply}, append(about, slog.String("where", reply.Where)), nil
}

// aboutCalls says of which calls the replies are.
func aboutCalls(service, method string, arguments, tag bool) (about []slog.Attr) {
	for _, x := range []struct{ key, value string }{{"service", service}, {"method", method}} {
		if x.value != "" {
			about = append(about, slog.String(x.key, x.value))
		}
	}
	for _, x := range []struct {
		key string
		has bool
	}{{"arguments", arguments}, {"tag", tag}} {
		if x.has {
			about = append(about, slog.Bool(x.key, true))
		}
	}
	return about
}

// unloggable is an error whose text may have the values of arguments in it; a log has another text.
type unloggable struct {
	error
	instead string
}

func (e unloggable) Unwrap() error { return e.error }

// loggable returns what a log says of an error.
func loggable(err error) string {
	var u unloggable
	switch {
	case errors.As(err, &u):
		return u.instead
	case errors.Is(err, status.ErrArguments):
		return status.ErrArguments.Error()
	}
	return err.Error()
}
