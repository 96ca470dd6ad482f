package enginetest

import (
	"slices"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/node/engine"
)

// Create publishes an order.
func (e *Env) Create(o engine.Order) {
	e.t.Helper()
	if _, err := messages.ParseOrderID(o.ID); err != nil {
		e.t.Errorf("enginetest: %v", err)
		return
	}
	m := o.Message()
	messages.Normalize(m)
	e.publish(o.ID, delivery.Delivery{Type: messages.TypeCreated, Created: m, Invalid: messages.Validate(m, messages.OrderID(o.ID))})
}

// Cancel publishes a cancel.
func (e *Env) Cancel(id, reason string) {
	e.publish(id, delivery.Delivery{Type: messages.TypeCancel, Cancel: &messages.CancelOrder{Reason: reason}})
}

// Signal publishes a signal. Data is any value that encoding/json can write, or nil.
func (e *Env) Signal(id, name string, data any) {
	e.t.Helper()
	text, err := messages.NewJSON(data)
	if err != nil {
		e.t.Errorf("enginetest: signal %s: %v", name, err)
	}
	e.publish(id, delivery.Delivery{Type: messages.TypeSignal, Signal: &messages.SignalOrder{Name: name, Data: text}})
}

// Retry publishes that the step that needs attention is attempted again.
func (e *Env) Retry(id string) { e.publish(id, delivery.Delivery{Type: messages.TypeRetry}) }

// Skip publishes that the step that needs attention, or its undo, is passed over.
func (e *Env) Skip(id string) {
	e.publish(id, delivery.Delivery{Type: messages.TypeSkip, Skip: &messages.SkipStep{}})
}

func (e *Env) publish(id string, d delivery.Delivery) {
	d.OrderID, d.Stream = messages.OrderID(id), messages.StreamOrders
	e.store.publish(&message{Delivery: d})
	e.notify()
}

// DeadLetters returns the messages that could not take effect.
func (e *Env) DeadLetters() []DeadLetter {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	return slices.Clone(e.store.dead)
}
