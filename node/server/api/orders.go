package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/telemetry"
	"github.com/orderly-engine/orderly/node/timeline"
)

// stored is the answer to a message that is in the inbox.
type stored struct {
	OrderID messages.OrderID `json:"order_id"`
	Status  string           `json:"status"`
}

// story is the answer to GET …/events.
type story struct {
	OrderID messages.OrderID `json:"order_id"`
	Events  []timeline.Event `json:"events"`
}

// create takes an order in. An order that was taken in before is taken in again, without effect: clients that got no
// answer send it again. Another order under the id becomes a dead letter.
func (a *API) create(w http.ResponseWriter, r *http.Request) *problem {
	contentType, content, p := body(r)
	if p != nil {
		return p
	}
	order, err := messages.DecodeCreated(contentType, content)
	if err != nil {
		return undecodable(err)
	}
	messages.Normalize(order)
	if p := invalid(order); p != nil {
		return p
	}
	return a.store(w, r, messages.OrderID(order.GetOrderId()), order)
}

// invalid tells everything that is wrong with a normalized order.
func invalid(o *messages.OrderCreated) *problem {
	var all []string
	id, err := messages.ParseOrderID(o.GetOrderId())
	if err != nil {
		id = messages.OrderID(o.GetOrderId()) // complained about here, not again there
		all = append(all, err.Error())
	}
	if err := messages.Validate(o, id); err != nil {
		var wrong *messages.InvalidOrder
		if errors.As(err, &wrong) {
			all = append(all, wrong.Problems...)
			if wrong.More > 0 {
				all = append(all, fmt.Sprintf("and %d more", wrong.More))
			}
		} else {
			all = append(all, err.Error())
		}
	}
	if all == nil {
		return nil
	}
	return &problem{Status: http.StatusUnprocessableEntity, Detail: "the order is not valid: correct it and send it again", Errors: all}
}

func (a *API) read(w http.ResponseWriter, r *http.Request) *problem {
	id, p := pathID(r)
	if p != nil {
		return p
	}
	view, p := a.find(r.Context(), id)
	if p != nil {
		return p
	}
	answer(w, http.StatusOK, view)
	return nil
}

func (a *API) events(w http.ResponseWriter, r *http.Request) *problem {
	id, p := pathID(r)
	if p != nil {
		return p
	}
	if wantsStream(r) {
		return a.stream(w, r, id)
	}
	view, p := a.find(r.Context(), id)
	if p != nil {
		return p
	}
	answer(w, http.StatusOK, story{id, append([]timeline.Event{}, view.Events...)})
	return nil
}

// find reads an order.
func (a *API) find(ctx context.Context, id messages.OrderID) (*timeline.View, *problem) {
	view, err := a.deps.Orders.Order(ctx, id)
	if err != nil {
		return nil, unread(id, err)
	}
	return view, nil
}

// unread tells why an order could not be read.
func unread(id messages.OrderID, err error) *problem {
	var awaited *timeline.PendingMessages
	switch {
	case errors.As(err, &awaited):
		return refusal(http.StatusNotFound, fmt.Sprintf("no order %s yet: %v", id, awaited))
	case errors.Is(err, ErrUnknownOrder):
		return refusal(http.StatusNotFound, fmt.Sprintf("no order %s: nothing with this id was taken in", id))
	}
	return unavailable(fmt.Sprintf("order %s cannot be read now: %v", id, err))
}

// publish puts a message into the inbox, with the trace of the request.
func (a *API) publish(ctx context.Context, id messages.OrderID, body proto.Message) *problem {
	traceparent, tracestate := telemetry.Traceparent(ctx)
	err := a.deps.Publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: body, Traceparent: traceparent, Tracestate: tracestate})
	switch {
	case errors.Is(err, ErrNotStored):
		return unavailable(fmt.Sprintf("order %s: %v", id, err))
	case err != nil:
		return unavailable(fmt.Sprintf("order %s: it is not certain that the message was stored: %v", id, err))
	}
	return nil
}

func location(id messages.OrderID) string { return "/v1/orders/" + string(id) }
