package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// answer is that of a service to every call.
const answer = `{"done":{"data":{"reference":"r-1042","state":"ok"}}}`

// services answer the calls of the built-in plan and remember their keys.
type services struct {
	plan  *messages.Plan
	steps map[string]string // by the subject or path that is called
	stop  func()
	// observe gets each call, for tests; nil: none.
	observe func(target, key string)

	mu    sync.Mutex
	calls map[string]struct{} // keys
	wrong error               // about the first wrong call
}

func newServices() *services {
	s := &services{plan: plan.Builtin(), steps: map[string]string{}, stop: func() {}, calls: map[string]struct{}{}}
	for _, step := range s.plan.GetSteps() {
		s.steps[strings.TrimPrefix(step.GetDo(), "nats://")] = step.GetName()
		step.Timeout = durationpb.New(timeLimit) // no call is made again because the machine is slow
	}
	return s
}

// serveNATS answers until stop is called.
func (s *services) serveNATS(g *benchServer) error {
	nc, err := g.server.Connect()
	if err != nil {
		return err
	}
	s.stop = nc.Close
	for subject := range s.steps {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			s.called(m.Subject, m.Header.Get(messages.HeaderIdempotencyKey), m.Data)
			_ = m.Respond([]byte(answer)) // without an answer the run fails
		}); err != nil {
			return err
		}
	}
	return nc.Flush()
}

// serveHTTP answers until stop is called, and has the plan call it.
func (s *services) serveHTTP() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + l.Addr().String() + "/"
	for _, step := range s.plan.GetSteps() {
		step.Do = strings.Replace(step.GetDo(), "nats://", base, 1)
		step.Undo = strings.Replace(step.GetUndo(), "nats://", base, 1)
	}
	server := &http.Server{ReadHeaderTimeout: timeLimit, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*messages.MaxBody))
		if err != nil {
			return
		}
		s.called(strings.TrimPrefix(r.URL.Path, "/"), r.Header.Get(messages.HeaderIdempotencyKey), body)
		w.Header().Set(messages.HeaderContentType, "application/json")
		_, _ = io.WriteString(w, answer)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	s.stop = func() {
		_ = server.Close()
		serving.Wait()
	}
	return nil
}

// called notes a call, or what is wrong with it.
func (s *services) called(target, key string, body []byte) {
	if s.observe != nil {
		s.observe(target, key)
	}
	order, ok := strings.CutSuffix(key, "/"+s.steps[target]+"/do")
	s.mu.Lock()
	defer s.mu.Unlock()
	_, again := s.calls[key]
	s.calls[key] = struct{}{}
	switch {
	case s.wrong != nil:
	case !ok || !bytes.Contains(body, []byte(`"`+order+`"`)):
		s.wrong = fmt.Errorf("%s was called with the key %q: not that of its step and of the order in the body", target, key)
	case again:
		s.wrong = fmt.Errorf("%s was called twice with the key %s: measure again while the machine is less busy", target, key)
	}
}

// check returns an error unless each step was called once for each of n orders.
func (s *services) check(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := n * len(s.steps); s.wrong == nil && len(s.calls) != want {
		return fmt.Errorf("the services were called %d times: want %d", len(s.calls), want)
	}
	return s.wrong
}
