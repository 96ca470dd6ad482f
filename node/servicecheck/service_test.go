package servicecheck_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// fault is one mistake of a service. The others it does not make.
type fault string

const (
	none          fault = ""
	unreadable    fault = "answers a page"
	wrongPath     fault = "answers 404"
	silent        fault = "never answers"
	rejecting     fault = "rejects every order"
	busy          fault = "always asks for a retry"
	forgetful     fault = "forgets keys"
	racy          fault = "forgets keys of calls at the same time"
	anyBody       fault = "does not look at the body"
	anyToken      fault = "does not look at the fencing token"
	stubborn      fault = "refuses undos"
	undoOnce      fault = "refuses a second undo"
	resurrecting  fault = "performs a do after its undo"
	strictFields  fault = "refuses unknown fields"
	strictUndo    fault = "refuses to undo nothing"
	noTombstone   fault = "performs a do after an undo of nothing"
	lateConflicts fault = "answers 409 where it may"
	crashing      fault = "answers 500 where it must refuse"
	hiccups       fault = "fails before each effect once"
)

// service performs steps for orders, with a fault.
type service struct {
	fault fault

	mu      sync.Mutex
	answers map[string]string // by key
	bodies  map[string][32]byte
	tokens  map[string]uint64 // by order
	failed  map[string]bool   // by key: it has failed once
	effects int
}

func newService(f fault) *service {
	return &service{fault: f, answers: map[string]string{}, bodies: map[string][32]byte{}, tokens: map[string]uint64{}, failed: map[string]bool{}}
}

const (
	undoneAnswer = `{"rejected":{"code":"undone"}}`
	retryAnswer  = `{"retry":{"after":"0.001s"}}`
)

// answer returns status and body of an answer.
func (s *service) answer(body []byte, token uint64) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var request struct {
		OrderID   string          `json:"order_id"`
		Step      string          `json:"step"`
		Direction string          `json:"direction"`
		Key       string          `json:"idempotency_key"`
		Order     json.RawMessage `json:"order"`
		Results   json.RawMessage `json:"results"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if s.fault == strictFields {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(&request); err != nil || request.Key != request.OrderID+"/"+request.Step+"/"+request.Direction {
		return http.StatusBadRequest, `{"error":"bad request"}`
	}
	switch s.fault {
	case unreadable:
		return http.StatusOK, "<html>welcome</html>"
	case wrongPath:
		return http.StatusNotFound, "not found"
	case busy:
		return http.StatusOK, retryAnswer
	case rejecting:
		if request.Direction == "do" {
			return http.StatusUnprocessableEntity, ""
		}
	}
	forgets := s.fault == forgetful && request.Direction == "do" || s.fault == racy && strings.HasSuffix(request.OrderID, "-b")
	if known, ok := s.answers[request.Key]; ok && !forgets {
		digest, bound := s.bodies[request.Key]
		switch {
		case s.fault == crashing && (bound && digest != sha256.Sum256(body) || known == undoneAnswer):
			return http.StatusInternalServerError, ""
		case bound && digest != sha256.Sum256(body) && s.fault != anyBody:
			return http.StatusConflict, `{"error":"another body"}`
		case s.fault == undoOnce && request.Direction == "undo":
			return http.StatusOK, `{"rejected":{"code":"undone already"}}`
		case s.fault == lateConflicts && known == undoneAnswer:
			return http.StatusConflict, ""
		}
		return http.StatusOK, known
	}
	if token < s.tokens[request.OrderID] && s.fault != anyToken {
		switch s.fault {
		case lateConflicts:
			return http.StatusConflict, ""
		case crashing:
			return http.StatusInternalServerError, ""
		}
		return http.StatusServiceUnavailable, retryAnswer
	}
	if s.fault == hiccups && !s.failed[request.Key] {
		s.failed[request.Key] = true
		return http.StatusServiceUnavailable, ""
	}
	s.tokens[request.OrderID] = max(token, s.tokens[request.OrderID])
	s.bodies[request.Key] = sha256.Sum256(body)
	s.effects++
	answer := fmt.Sprintf(`{"done":{"data":{"number":%d}}}`, s.effects)
	if request.Direction == "undo" {
		answer = s.undo(request.OrderID + "/" + request.Step + "/do")
	}
	s.answers[request.Key] = answer
	return http.StatusOK, answer
}

func (s *service) undo(do string) string {
	_, performed := s.answers[do]
	switch {
	case s.fault == stubborn, s.fault == strictUndo && !performed:
		return `{"rejected":{"code":"no undo"}}`
	case s.fault == resurrecting && performed, s.fault == noTombstone && !performed:
		return `{"done":{}}`
	}
	s.answers[do] = undoneAnswer
	return `{"done":{}}`
}

// serveHTTP returns the URL of the service.
func (s *service) serveHTTP(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if s.fault == silent {
			<-r.Context().Done()
			return
		}
		token, err := strconv.ParseUint(r.Header.Get("Orderly-Fencing-Token"), 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		status, answer := s.answer(body, token)
		if json.Valid([]byte(answer)) {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// serveNATS answers calls of the subject, with the statuses of NATS services.
func (s *service) serveNATS(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
		token, _ := strconv.ParseUint(m.Header.Get("Orderly-Fencing-Token"), 10, 64)
		status, answer := s.answer(m.Data, token)
		reply := nats.NewMsg(m.Reply)
		if status >= 400 {
			reply.Header.Set("Nats-Service-Error-Code", strconv.Itoa(status))
			reply.Header.Set("Nats-Service-Error", http.StatusText(status))
		}
		reply.Data = []byte(answer)
		_ = nc.PublishMsg(reply)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}
