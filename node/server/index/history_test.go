package index_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// epoch is the beginning of the histories.
var epoch = time.Now().Add(-time.Hour).Truncate(time.Millisecond)

// history is a random history of one order, which the core allows.
type history struct {
	r       *rand.Rand
	id      string
	plan    *messages.Plan
	entries []*messages.JournalEntry
	// sequences under which the entries are stored.
	sequences []uint64
	state     *order.State
	inbox     uint64
	// smooth: no step fails.
	smooth bool
	// times is how many different times the entries have, spacing the time between two.
	times   int
	spacing time.Duration
}

func newHistory(r *rand.Rand, id string) *history {
	p := plan.Sim("sim:")
	p.Version = 1 + r.Uint32N(3)
	return &history{r: r, id: id, plan: p, state: &order.State{}, smooth: r.IntN(4) == 0, times: 3_600_000, spacing: time.Millisecond}
}

// next returns a legal next entry, or nil if there is none.
func (t *history) next() *messages.JournalEntry {
	if t.state.Status.Terminal() {
		return nil
	}
	for range 400 {
		e := &messages.JournalEntry{
			OrderId: t.id, Number: uint32(len(t.entries)) + 1, Node: "n-1",
			Time: timestamppb.New(epoch.Add(time.Duration(t.r.IntN(t.times)) * t.spacing)),
		}
		if t.smooth {
			e.Events = append(e.Events, t.forward())
		} else {
			for range 1 + t.r.IntN(3) {
				e.Events = append(e.Events, t.event())
			}
		}
		if state := t.stateWith(e); state != nil {
			t.entries, t.state = append(t.entries, e), state
			return e
		}
	}
	return nil
}

// stateWith is the state after another entry, or nil if it is not legal.
func (t *history) stateWith(more *messages.JournalEntry) *order.State {
	s := &order.State{}
	for i, e := range append(t.entries[:len(t.entries):len(t.entries)], more) {
		if s.Apply(uint64(i)+1, e) != nil {
			return nil
		}
	}
	return s
}

func (t *history) source() *messages.Source {
	t.inbox++
	return &messages.Source{Stream: messages.StreamOrders, Sequence: t.inbox}
}

// step is mostly the next step, or the last completed one.
func (t *history) step() string {
	i := t.r.IntN(len(t.plan.Steps))
	if done := t.state.Done(); t.r.IntN(4) > 0 {
		i = min(max(0, done-t.r.IntN(2)), len(t.plan.Steps)-1)
	}
	return t.plan.Steps[i].Name
}

func (t *history) randomText(what string) string { return fmt.Sprintf("%s %d %%_'", what, t.r.IntN(4)) }

// forward is the event that brings an order closer to its end.
func (t *history) forward() *messages.Event {
	switch {
	case t.state.Status == order.None:
		return t.accepted()
	case t.state.Finished():
		return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
	}
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: t.plan.Steps[t.state.Done()].Name, Attempt: 1}}}
}

// event is any event; most are illegal most of the time.
func (t *history) event() *messages.Event {
	direction := messages.Direction(1 + t.r.IntN(2))
	if len(t.entries) == 0 && t.r.IntN(2) == 0 {
		return t.accepted()
	}
	driver := t.source()
	if t.r.IntN(2) == 0 && t.state.Driver.Sequence > 0 {
		driver = &messages.Source{Stream: t.state.Driver.Stream, Sequence: t.state.Driver.Sequence}
	}
	switch t.r.IntN(24) {
	case 0, 1, 2, 15, 16, 17, 18, 19:
		return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: t.step(), Attempt: 1}}}
	case 3:
		return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{
			Step: t.step(), Direction: direction, Attempt: uint32(t.state.Attempts) + 1, Error: t.randomText("failed"),
		}}}
	case 4:
		return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: t.step(), Code: "no", Reason: t.randomText("refused")}}}
	case 5:
		return &messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: t.step(), Signal: "go"}}}
	case 6, 20, 21:
		return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: t.step(), Attempt: 1}}}
	case 7:
		return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: t.source(), Reason: t.randomText("cancel")}}}
	case 8:
		return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: t.source(), Name: "go"}}}
	case 9:
		return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{
			Reason: t.randomText("waits"), Until: timestamppb.New(epoch.Add(time.Duration(t.r.IntN(1000)) * time.Hour)),
		}}}
	case 10:
		return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: driver, Incarnation: fmt.Sprint(t.r.Uint64()), Cause: "wake"}}}
	case 11:
		return &messages.Event{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{Step: t.step(), Direction: direction, Cause: t.randomText("stuck")}}}
	case 12, 22:
		return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
	case 13:
		return &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "no", Reason: t.randomText("no")}}}
	default:
		return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{Reason: t.randomText("gone")}}}
	}
}

func (t *history) accepted() *messages.Event {
	currency, total := []string{"USD", "EUR", "JPY", "KWD", "EURO", ""}[t.r.IntN(6)], float64(t.r.IntN(1_000_000))
	if currency != "JPY" {
		total /= 4
	}
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{
			OrderId: t.id, CustomerId: fmt.Sprintf("c-%d", t.r.IntN(5)), Currency: currency, TotalAmount: total,
			Items: []*messages.OrderItem{{ProductId: strings.Repeat("p", t.r.IntN(50)), Quantity: 1, UnitPrice: 1}},
		},
		Plan: proto.CloneOf(t.plan), Driver: t.source(), Incarnation: fmt.Sprint(t.r.Uint64()),
	}}}
}
