package api

import (
	"fmt"
	"net/http"
	"strings"
)

// endpoint handles a request that has passed the gate: it writes a success, or returns the problem to be written.
type endpoint func(w http.ResponseWriter, r *http.Request) *problem

func (a *API) routes() http.Handler {
	mux := http.NewServeMux()

	// Probes and metrics must answer when the node has no room for anything else.
	mux.HandleFunc("GET /livez", plain(a.live))
	mux.HandleFunc("GET /readyz", plain(a.ready))
	mux.HandleFunc("GET /health", plain(a.health))
	mux.Handle("GET /metrics", a.deps.Metrics)

	for pattern, e := range map[string]endpoint{
		"POST /v1/orders":                     withoutQuery(a.create),
		"GET /v1/orders":                      a.list,
		"GET /v1/orders/{id}":                 withoutQuery(a.read),
		eventsPattern:                         withoutQuery(a.events),
		"POST /v1/orders/{id}/cancel":         a.cancel,
		"POST /v1/orders/{id}/retry":          withoutQuery(a.retry),
		"POST /v1/orders/{id}/skip":           withoutQuery(a.skip),
		"POST /v1/orders/{id}/signals/{name}": withoutQuery(a.signal),
	} {
		_, route, _ := strings.Cut(pattern, " ")
		mux.Handle(pattern, a.gate(route, e))
	}
	return a.recovered(unrouted(mux))
}

func plain(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p := e(w, r); p != nil {
			p.write(w)
		}
	}
}

// unrouted answers what the mux has no pattern for with a problem in place of the mux's plain text.
func unrouted(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		said := &headOnly{header: http.Header{}}
		h.ServeHTTP(said, r)
		if allow := said.header.Get("Allow"); said.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", allow)
			refusal(said.status, fmt.Sprintf("%s is not possible here: use %s", r.Method, allow)).write(w)
			return
		}
		refusal(http.StatusNotFound, "there is nothing at this path: orders are at /v1/orders").write(w)
	})
}

// headOnly keeps status and headers of an answer and drops its body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) WriteHeader(status int)      { h.status = status }
func (h *headOnly) Write(b []byte) (int, error) { return len(b), nil }
