package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// foreign is a service that does not know Orderly: it answers calls of path with a status and a body. It passes on the requests.
type foreign struct {
	answers map[string]foreignAnswer
	calls   chan foreignCall
}

type foreignAnswer struct {
	status int
	body   string
}

type foreignCall struct{ path, body string }

// overHTTP serves f and returns the prefix of its targets.
func (f *foreign) overHTTP(s *server) string {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/")
		body, _ := io.ReadAll(r.Body)
		f.calls <- foreignCall{path, string(body)}
		w.WriteHeader(f.answers[path].status)
		_, _ = io.WriteString(w, f.answers[path].body)
	}))
	s.t.Cleanup(h.Close)
	return h.URL + "/"
}

func (f *foreign) overNATS(s *server) string {
	nc := s.Connect()
	_, err := nc.Subscribe("shop.*", func(m *nats.Msg) {
		path := strings.TrimPrefix(m.Subject, "shop.")
		f.calls <- foreignCall{path, string(m.Data)}
		a := f.answers[path]
		reply := &nats.Msg{Header: nats.Header{}, Data: []byte(a.body)}
		if a.status != 200 {
			reply.Header.Set("Nats-Service-Error-Code", strconv.Itoa(a.status))
		}
		_ = m.RespondMsg(reply)
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return "nats://shop."
}

var transports = map[string]func(*foreign, *server) string{"HTTP": (*foreign).overHTTP, "NATS": (*foreign).overNATS}

// An order goes to a shop that does not know Orderly: it authorizes a payment, refuses the shipment, and voids the payment.
func TestServicesThatDoNotKnowOrderly(t *testing.T) {
	const payment = `{"id":"p-1","amount":1.10}`
	for name, serve := range transports {
		for refusal, c := range map[string]struct {
			foreignAnswer
			code, reason string
		}{
			"success is false": {foreignAnswer{200, `{"success":false}`}, "", "no reason given"},
			"declined 200":     {foreignAnswer{200, `{"code":"declined","message":"no truck"}`}, "declined", "no truck"},
			"declined 400":     {foreignAnswer{400, `{"code":"declined","message":"no truck"}`}, "declined", "no truck"},
		} {
			t.Run(name+"/"+refusal, func(t *testing.T) {
				s := newServer(t)
				f := &foreign{calls: make(chan foreignCall, 100), answers: map[string]foreignAnswer{
					"authorize": {200, `{"status":"ok", "payment": ` + payment + `}`},
					"ship":      c.foreignAnswer,
					"void":      {200, `{"voided":true}`},
				}}
				prefix := serve(f, s)
				s.start(engine.Plan{Name: "shop", Version: 1, Steps: []engine.Step{
					{
						Name: "authorize_payment", Do: engine.URL(prefix + "authorize"), Undo: engine.URL(prefix + "void"),
						Reply: engine.Reading{DoneWhen: `body.status == "ok"`, Data: "body.payment"}, UndoReply: engine.Reading{DoneWhen: "body.voided"},
					},
					{
						Name: "ship", Do: engine.URL(prefix + "ship"),
						Reply: engine.Reading{
							DoneWhen: "body.success", RejectedWhen: `body.success == false || body.code == "declined"`, Code: "body.code", Reason: "body.message",
						},
					},
				}}, engine.Config{})
				s.publish(created("o-1"))
				s.untilEmpty()

				entries, kinds := s.history("o-1")
				if want := []string{"accepted", "step_completed", "step_rejected", "step_undone", "rejected"}; !slices.Equal(kinds, want) {
					t.Errorf("history %v, want %v", kinds, want)
				}
				for _, e := range entries {
					for _, event := range e.Entry.GetEvents() {
						if done := event.GetStepCompleted(); done != nil && done.GetData() != payment {
							t.Errorf("data %s, want %s", done.GetData(), payment)
						}
						if no := event.GetStepRejected(); no != nil && (no.GetCode() != c.code || no.GetReason() != c.reason) {
							t.Errorf("rejected with %q, %q, want %q, %q", no.GetCode(), no.GetReason(), c.code, c.reason)
						}
					}
				}
				for _, path := range []string{"authorize", "ship", "void"} {
					call := natstest.Receive(t, f.calls, "the call of "+path)
					if call.path != path || path != "authorize" && !strings.Contains(call.body, `"results":{"authorize_payment":`+payment+`}`) {
						t.Errorf("called %s with %s, want %s with the payment", call.path, call.body, path)
					}
				}
			})
		}
	}
}

// An undo that the shop refuses, since nothing is left to undo, counts as undone.
func TestNothingToUndo(t *testing.T) {
	for name, serve := range transports {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			f := &foreign{calls: make(chan foreignCall, 100), answers: map[string]foreignAnswer{
				"authorize": {200, `{"done":{}}`},
				"ship":      {200, `{"rejected":{"code":"no_truck"}}`},
				"void":      {409, `{"error":{"code":"already_voided"}}`},
			}}
			prefix := serve(f, s)
			s.start(engine.Plan{Name: "shop", Version: 1, Steps: []engine.Step{
				{
					Name: "authorize_payment", Do: engine.URL(prefix + "authorize"), Undo: engine.URL(prefix + "void"),
					UndoReply:     engine.Reading{DoneWhen: "body.voided", RejectedWhen: "has(body.error)", Code: "body.error.code"},
					NothingToUndo: []string{"already_voided"},
				},
				{Name: "ship", Do: engine.URL(prefix + "ship")},
			}}, engine.Config{})
			s.publish(created("o-1"))
			s.untilEmpty()
			entries, kinds := s.history("o-1")
			if want := []string{"accepted", "step_completed", "step_rejected", "step_undone", "rejected"}; !slices.Equal(kinds, want) {
				t.Errorf("history %v, want %v", kinds, want)
			}
			for _, e := range entries {
				for _, event := range e.Entry.GetEvents() {
					if undone := event.GetStepUndone(); undone != nil && undone.GetCode() != "already_voided" {
						t.Errorf("undone with code %q", undone.GetCode())
					}
				}
			}
		})
	}
}

// An answer that the plan does not understand is neither a success nor a refusal: the call is made once more, then a person decides.
func TestAnswerThatThePlanDoesNotUnderstand(t *testing.T) {
	for name, serve := range transports {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			f := &foreign{calls: make(chan foreignCall, 100), answers: map[string]foreignAnswer{"authorize": {200, `{"success":false}`}}}
			prefix := serve(f, s)
			s.start(engine.Plan{Name: "shop", Version: 1, Steps: []engine.Step{
				{Name: "authorize_payment", Do: engine.URL(prefix + "authorize"), Reply: engine.Reading{DoneWhen: "body.success"}},
			}}, engine.Config{})
			s.publish(created("o-1"))
			s.untilEmpty()
			entries, kinds := s.history("o-1")
			if want := []string{"accepted", "step_failed", "step_failed", "attention"}; !slices.Equal(kinds, want) {
				t.Errorf("history %v, want %v", kinds, want)
			}
			last := entries[len(entries)-1].Entry.String()
			if len(f.calls) != 2 || !strings.Contains(last, "no condition of reply is true") || !strings.Contains(last, "success") {
				t.Errorf("%d calls, and %s", len(f.calls), last)
			}
		})
	}
}
