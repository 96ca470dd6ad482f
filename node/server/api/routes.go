package api

import (
	"fmt"
	"net/http"
	"strings"
)

// endpoint handles a request: it writes a success, or returns the problem to be written.
type endpoint func(w http.ResponseWriter, r *http.Request) *problem

func (a *API) routes() http.Handler {
	mux := http.NewServeMux()

	// Probes are not limited, and metrics have a limit of their own: they must answer while all requests are refused.
	mux.HandleFunc("GET /livez", withoutMiddleware(a.live))
	mux.HandleFunc("GET /readyz", withoutMiddleware(a.ready))
	mux.HandleFunc("GET /health", withoutMiddleware(a.health))
	mux.HandleFunc("GET /metrics", withoutMiddleware(func(w http.ResponseWriter, r *http.Request) *problem {
		return a.hold(r, a.scrapes, "requests for metrics", func() *problem { a.deps.Metrics.ServeHTTP(w, r); return nil })
	}))

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
		mux.Handle(pattern, a.middleware(route, e))
	}
	return a.recoverPanics(a.checkHost(notFound(mux)))
}

func withoutMiddleware(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p := e(w, r); p != nil {
			p.write(w)
		}
	}
}

// notFound answers a request without a route with a problem, in place of the plain text of the mux.
func notFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		recorder := &headerRecorder{header: http.Header{}}
		h.ServeHTTP(recorder, r)
		if allow := recorder.header.Get("Allow"); recorder.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", allow)
			newProblem(recorder.status, fmt.Sprintf("%s is not possible here: use %s", r.Method, allow)).write(w)
			return
		}
		newProblem(http.StatusNotFound, "no such path: orders are at /v1/orders").write(w)
	})
}

// headerRecorder records status and headers of a response and drops its body.
type headerRecorder struct {
	header http.Header
	status int
}

func (h *headerRecorder) Header() http.Header         { return h.header }
func (h *headerRecorder) WriteHeader(status int)      { h.status = status }
func (h *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
