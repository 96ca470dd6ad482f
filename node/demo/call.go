package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// reply is a StepReply, or an error by the conventions of NATS micro services.
type reply struct {
	step         *messages.StepReply
	code, reason string
}

func unavailable(reason string) reply { return reply{code: "503", reason: reason} }
func malformed(reason string) reply   { return reply{code: "400", reason: reason} }

func done(data string) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}
}

func rejected(r *messages.StepRefused) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: r}}
}

// handle answers one call.
func (s *Services) handle(e *endpoint, r micro.Request) {
	if !s.begin() {
		return
	}
	defer s.work.Done()
	s.mu.Lock()
	b := s.behaviors.of(e.service)
	s.mu.Unlock()
	if b.Away {
		s.countMissed()
		return
	}

	header := r.Headers()
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier(header))
	_, span := s.tracer.Start(ctx, e.subject(), trace.WithSpanKind(trace.SpanKindServer))
	inJSON := isJSON(header.Get(messages.HeaderContentType), r.Data())
	answer := s.answer(e, b, r, inJSON)
	span.SetAttributes(attribute.String("orderly.outcome", answer.outcome()))

	msg, err := answer.message(r.Reply(), inJSON)
	if err != nil {
		span.End()
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "demo answer not encoded", slog.Any("error", err))
		return
	}
	send := func() {
		defer span.End()
		if err := s.nc.PublishMsg(msg); err != nil {
			s.logger.LogAttrs(context.Background(), slog.LevelWarn, "demo answer not sent", slog.Any("error", err))
		}
	}
	if b.Latency == 0 {
		send()
		return
	}
	s.after(b.Latency, send)
}

func (s *Services) answer(e *endpoint, b Behavior, r micro.Request, inJSON bool) reply {
	request := &messages.StepRequest{}
	var err error
	if inJSON {
		err = messages.UnmarshalForeignJSON(r.Data(), request)
	} else {
		err = proto.Unmarshal(r.Data(), request)
	}
	if err != nil {
		return malformed("malformed request: " + err.Error())
	}
	key := request.GetIdempotencyKey()
	if key == "" || request.GetStep() == "" {
		return malformed("request needs order_id, step and idempotency_key")
	}
	if _, err := messages.ParseOrderID(request.GetOrderId()); err != nil {
		return malformed(err.Error())
	}
	if request.GetDirection() != e.direction.Label() {
		return malformed(e.subject() + " takes direction " + e.direction.Label() + " only")
	}
	token, err := fencingToken(r.Headers())
	if err != nil {
		return malformed(err.Error())
	}
	s.ledger.count(key)
	fails := chance(b.Fail) || e.service == "payments" && request.GetOrder().GetCustomerId() == CustomerUnavailable
	before := fails && rand.IntN(2) == 0
	if before {
		s.count(e, false, true)
		return unavailable("simulated failure before the effect")
	}
	called := &entry{
		Key: key, Order: request.GetOrderId(), Step: request.GetStep(), Direction: e.direction.Label(), Body: digest(r.Data()), Token: token,
	}
	entry, again, err := s.ledger.call(called, func(known map[string]*entry) []*entry {
		if e.direction == messages.Undo {
			return undo(called, known)
		}
		perform(called, e, b, request)
		return []*entry{called}
	})
	s.count(e, again, fails || err != nil)
	switch {
	case errors.Is(err, errStale):
		return reply{step: &messages.StepReply{Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{Reason: err.Error()}}}}
	case errors.Is(err, errOtherBody):
		return reply{code: "409", reason: err.Error()}
	case err != nil:
		s.logger.LogAttrs(context.Background(), slog.LevelError, "demo effect not kept", slog.Any("error", err))
		return unavailable("ledger cannot be written")
	case fails:
		return unavailable("simulated failure after the effect")
	case entry.Verdict == performed && s.ledger.undone(entry):
		return reply{step: refusedUndone()}
	}
	if wait := time.Until(entry.Ready); !entry.Ready.IsZero() && wait > 0 {
		if !again {
			s.after(wait, func() { s.signal(entry) })
		}
		return reply{step: &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{
			// If the signal is lost, the call at the deadline replaces it.
			Signal: entry.Step, Deadline: timestamppb.New(entry.Ready.Add(time.Second)),
		}}}}
	}
	return reply{step: entry.answer}
}

// fencingToken is 0 without the header, as in a call by hand.
func fencingToken(h micro.Headers) (uint64, error) {
	text := h.Get(messages.HeaderFencingToken)
	if text == "" {
		return 0, nil
	}
	token, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s is not a number", messages.HeaderFencingToken)
	}
	return token, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// perform decides the first do with a key.
func perform(decided *entry, e *endpoint, b Behavior, r *messages.StepRequest) {
	data, refusal := e.perform(decided.Key, r)
	if refusal == nil && chance(b.Reject) {
		refusal = &messages.StepRefused{Code: "simulated", Reason: "simulated rejection"}
	}
	text, err := messages.NewJSON(data)
	if refusal == nil && err != nil {
		refusal = &messages.StepRefused{Code: "malformed", Reason: err.Error()}
	}
	if refusal != nil {
		decided.Verdict, decided.answer = refused, rejected(refusal)
		return
	}
	decided.Verdict, decided.answer = performed, done(text)
	if chance(b.Pending) {
		decided.Ready = time.Now().Add(b.finish())
	}
}

// undo decides the first undo with a key. Without an earlier do it seals the do's key first, so that the undo can be called again
// after a crash between the two lines.
func undo(decided *entry, known map[string]*entry) []*entry {
	decided.Verdict, decided.answer = idle, done("")
	key := doKey(decided.Key)
	switch did := known[key]; {
	case did == nil:
		return []*entry{{
			Key: key, Order: decided.Order, Step: decided.Step, Direction: messages.Do.Label(), Token: decided.Token,
			Verdict: sealed, answer: refusedUndone(),
		}, decided}
	case did.Verdict == performed:
		decided.Verdict = performed
	}
	return []*entry{decided}
}

// refusedUndone answers a do whose undo was called, before it or after it.
func refusedUndone() *messages.StepReply {
	return rejected(&messages.StepRefused{Code: "undone", Reason: "the step was undone"})
}

func doKey(undo string) string {
	return strings.TrimSuffix(undo, messages.Undo.Label()) + messages.Do.Label()
}

func undoKey(do string) string {
	return strings.TrimSuffix(do, messages.Do.Label()) + messages.Undo.Label()
}

// signal sends the order the signal that pending work is finished.
func (s *Services) signal(e *entry) {
	body, err := messages.MarshalJSON(&messages.SignalOrder{Name: e.Step, Data: e.answer.GetDone().GetData()})
	if err == nil {
		err = s.nc.PublishMsg(&nats.Msg{
			Subject: messages.SubjectOrder + e.Order,
			Header:  nats.Header{messages.HeaderType: {string(messages.TypeSignal)}},
			Data:    body,
		})
	}
	if err != nil {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "demo signal not sent", slog.Any("error", err))
	}
}

func (s *Services) count(e *endpoint, again, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.subjects[e.subject()]++
	if again {
		s.repeats++
	}
	if failed {
		s.failed++
	}
}

// countMissed counts a call while the service is unavailable.
func (s *Services) countMissed() {
	s.mu.Lock()
	s.missed++
	s.mu.Unlock()
}

func (r reply) outcome() string {
	if r.code != "" {
		return "failed"
	}
	switch r.step.GetResult().(type) {
	case *messages.StepReply_Rejected:
		return "rejected"
	case *messages.StepReply_Pending:
		return "pending"
	}
	return "done"
}

// message encodes the reply like the request.
func (r reply) message(subject string, inJSON bool) (*nats.Msg, error) {
	if r.code != "" {
		return &nats.Msg{Subject: subject, Header: nats.Header{
			micro.ErrorCodeHeader: {r.code}, micro.ErrorHeader: {strings.Join(strings.Fields(r.reason), " ")},
		}}, nil
	}
	contentType, encode := "application/protobuf", proto.Marshal
	if inJSON {
		contentType, encode = "application/json", messages.MarshalJSON
	}
	body, err := encode(r.step)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: subject, Header: nats.Header{messages.HeaderContentType: {contentType}}, Data: body}, nil
}

func isJSON(contentType string, body []byte) bool {
	switch {
	case strings.Contains(contentType, "json"):
		return true
	case strings.Contains(contentType, "protobuf"):
		return false
	}
	return strings.HasPrefix(strings.TrimSpace(string(body)), "{")
}

// carrier reads a trace context from the headers of a request.
type carrier micro.Headers

func (c carrier) Get(key string) string { return micro.Headers(c).Get(key) }
func (c carrier) Set(string, string)    {}
func (c carrier) Keys() []string        { return nil }
