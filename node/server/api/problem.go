package api

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error response (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong and what to do.
	Detail string `json:"detail,omitempty"`
	// Errors lists all problems of a body.
	Errors []string `json:"errors,omitempty"`
	// retryAfter in seconds; 0: none.
	retryAfter int
	// counted: the metric of refused requests has it.
	counted bool
}

// newProblem is a problem with a status and a detail.
func newProblem(status int, detail string) *problem { return &problem{Status: status, Detail: detail} }

// unavailable asks the client to try again in a second.
func unavailable(detail string) *problem {
	return &problem{Status: http.StatusServiceUnavailable, Detail: detail, retryAfter: 1}
}

func (p *problem) write(w http.ResponseWriter) {
	p.Title = http.StatusText(p.Status)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

// respond writes a success.
func respond(w http.ResponseWriter, status int, body any) {
	writeJSON(w, status, "application/json", body)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types always marshal
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have disconnected
}
