package api_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/timeline"
)

// resting is an order in attention for the given need.
func resting(t *testing.T, need *messages.OrderNeedsAttention) *timeline.View {
	t.Helper()
	at := timestamppb.Now()
	v, err := timeline.New([]journal.Entry{{Sequence: 1, Entry: &messages.JournalEntry{OrderId: "o-1", Number: 1, Time: at, Events: []*messages.Event{
		{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Order: &messages.OrderCreated{OrderId: "o-1"}, Incarnation: "i", Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1},
			Plan: &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "reserve", Undo: "sim:"}, {Name: "ship"}}},
		}}},
		{Kind: &messages.Event_Attention{Attention: need}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A skip names the call that needs attention; one that names another call is refused.
func TestSkip(t *testing.T) {
	forward, backward := &messages.OrderNeedsAttention{Step: "reserve"}, &messages.OrderNeedsAttention{Step: "reserve", Direction: messages.Undo}
	somewhere := &messages.OrderNeedsAttention{Cause: "an unknown plan"}
	skip := func(step, direction string) *messages.SkipStep {
		return &messages.SkipStep{Step: step, Direction: direction}
	}
	for name, c := range map[string]struct {
		need *messages.OrderNeedsAttention // nil: the order has completed
		body string
		want *messages.SkipStep // nil: a conflict
		says string
	}{
		"unnamed":                       {forward, "", skip("reserve", "do"), ""},
		"unnamed, by an empty object":   {forward, " {}", skip("reserve", "do"), ""},
		"unnamed, an undo":              {backward, `{"step":null}`, skip("reserve", "undo"), ""},
		"unnamed, no step needs it":     {somewhere, "", skip("", ""), ""},
		"unnamed, none needs attention": {nil, "", skip("", ""), ""},
		"named":                         {forward, `{"step":"reserve"}`, skip("reserve", "do"), ""},
		"named, do":                     {forward, `{"step":"reserve","undo":false}`, skip("reserve", "do"), ""},
		"named, undo":                   {backward, `{"step":"reserve","undo":true}`, skip("reserve", "undo"), ""},
		"named, none needs attention":   {nil, `{"step":"ship","undo":true}`, skip("ship", "undo"), ""},
		"another step":                  {forward, `{"step":"ship"}`, nil, `needs attention for step \"reserve\", but the skip names step \"ship\"`},
		"undo for do":                   {forward, `{"step":"reserve","undo":true}`, nil, `for step \"reserve\", but the skip names the undo of step \"reserve\"`},
		"do for undo":                   {backward, `{"step":"reserve"}`, nil, `for the undo of step \"reserve\"`},
		"a step for none":               {somewhere, `{"step":"reserve"}`, nil, "for no step"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &fakeBackend{}
			if c.need != nil {
				w.order = func(messages.OrderID) (*timeline.View, error) { return resting(t, c.need), nil }
			}
			base, _ := serve(t, w, api.Config{})
			got := do(t, "POST", base+"/v1/orders/o-1/skip", c.body)
			if c.want == nil {
				got.problem(t, 409, c.says)
				if len(w.published) > 0 {
					t.Errorf("published %+v", w.published)
				}
				return
			}
			got.success(t, 202)
			if last := w.last(t); !proto.Equal(last.Body, c.want) || len(w.published) != 1 {
				t.Errorf("published %+v, want %+v", last.Body, c.want)
			}
		})
	}
}

// In protobuf both fields are optional.
func TestSkipInProtobuf(t *testing.T) {
	w := &fakeBackend{order: func(messages.OrderID) (*timeline.View, error) {
		return resting(t, &messages.OrderNeedsAttention{Step: "reserve", Direction: messages.Undo}), nil
	}}
	base, _ := serve(t, w, api.Config{})
	for _, c := range []struct {
		skip   *messages.SkipStep
		status int
	}{
		{&messages.SkipStep{Step: "reserve"}, 202},
		{&messages.SkipStep{Direction: "undo"}, 202},
		{&messages.SkipStep{Step: "ship"}, 409},
		{&messages.SkipStep{Direction: "do"}, 409},
		{&messages.SkipStep{Step: "reserve", Direction: "both"}, 400},
	} {
		wire, err := proto.Marshal(c.skip)
		if err != nil {
			t.Fatal(err)
		}
		got := do(t, "POST", base+"/v1/orders/o-1/skip", string(wire), "Content-Type", "application/protobuf")
		if got.StatusCode != c.status {
			t.Errorf("%v: %d, want %d: %s", c.skip, got.StatusCode, c.status, got.body)
		}
		if c.status == 202 && !proto.Equal(w.last(t).Body, c.skip) {
			t.Errorf("published %v, want %v", w.last(t).Body, c.skip)
		}
	}
}

func TestSkipRefuses(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for body, words := range map[string]string{
		`{"step":"a","direction":"undo"}`: "direction",
		`{"stepp":"a"}`:                   "stepp",
		`{"step":"a"} {}`:                 "follows",
		`{"step":1}`:                      "not a skip",
		`{"step":"a","undo":"true"}`:      "not a skip",
		`{"step":""}`:                     "step is empty",
		`{"undo":true}`:                   "name the step",
		`{"undo":false}`:                  "name the step",
		`null`:                            "null",
		`["a"]`:                           "not a skip",
		`{`:                               "not a skip",
	} {
		do(t, "POST", base+"/v1/orders/o-1/skip", body, "Content-Type", "application/json").problem(t, 400, words)
	}
	do(t, "POST", base+"/v1/orders/o-1/skip", `{"step":"a"}`, "Content-Type", "application/protobuf").problem(t, 400, "protobuf")
	do(t, "POST", base+"/v1/orders/o-1/skip", `{"step":"`+strings.Repeat("x", 512)+`"}`).problem(t, 413, "512")
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}
}

// For an order that does not exist while messages about it are stored the response is 404 and counts them.
func TestAwaited(t *testing.T) {
	w := &fakeBackend{order: func(messages.OrderID) (*timeline.View, error) {
		return nil, errors.Join(client.ErrUnknownOrder, &timeline.PendingMessages{Messages: 2})
	}}
	base, _ := serve(t, w, api.Config{})
	for _, target := range []string{"GET /v1/orders/o-9", "GET /v1/orders/o-9/events", "POST /v1/orders/o-9/cancel?dry_run=true", "POST /v1/orders/o-9/retry"} {
		method, path, _ := strings.Cut(target, " ")
		do(t, method, base+path, "").problem(t, 404, "no order o-9 yet: 2 messages about it wait")
	}
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}
}
