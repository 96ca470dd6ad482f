package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/telemetry"
	"github.com/orderly-engine/orderly/node/timeline"
)

// receipt is the response to a message that was stored in the inbox.
type receipt struct {
	OrderID messages.OrderID `json:"order_id"`
	Status  string           `json:"status"`
}

// eventList is the response to GET …/events.
type eventList struct {
	OrderID messages.OrderID `json:"order_id"`
	Events  []timeline.Event `json:"events"`
}

// create publishes an order. The same order can be sent again, without effect, by a client that got no response. Another order
// under the same id becomes a dead letter.
func (a *API) create(w http.ResponseWriter, r *http.Request) *problem {
	contentType, content, p := body(r)
	if p != nil {
		return p
	}
	order, err := messages.DecodeCreated(contentType, content)
	if err != nil {
		return decodeProblem(err)
	}
	messages.Normalize(order)
	if p := validate(order); p != nil {
		return p
	}
	return a.publishAndAccept(w, r, messages.OrderID(order.GetOrderId()), order)
}

// validate returns all problems of a normalized order.
func validate(o *messages.OrderCreated) *problem {
	var all []string
	id, err := messages.ParseOrderID(o.GetOrderId())
	if err != nil {
		id = messages.OrderID(o.GetOrderId()) // reported here, not again by Validate
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
	view, p := a.findOrder(r.Context(), id)
	if p != nil {
		return p
	}
	respond(w, http.StatusOK, view)
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
	view, p := a.findOrder(r.Context(), id)
	if p != nil {
		return p
	}
	respond(w, http.StatusOK, eventList{id, append([]timeline.Event{}, view.Events...)})
	return nil
}

// findOrder reads an order.
func (a *API) findOrder(ctx context.Context, id messages.OrderID) (*timeline.View, *problem) {
	view, err := a.deps.Orders.Order(ctx, id)
	if err != nil {
		return nil, readProblem(id, err)
	}
	return view, nil
}

// readProblem is the problem of an order that could not be read.
func readProblem(id messages.OrderID, err error) *problem {
	var pending *timeline.PendingMessages
	switch {
	case errors.As(err, &pending):
		return newProblem(http.StatusNotFound, fmt.Sprintf("no order %s yet: %v", id, pending))
	case errors.Is(err, client.ErrUnknownOrder):
		return newProblem(http.StatusNotFound, fmt.Sprintf("no order %s: no order with this id was accepted", id))
	}
	return unavailable(fmt.Sprintf("order %s cannot be read now: %v", id, err))
}

// publish publishes a message to the inbox, with the trace context of the request.
func (a *API) publish(ctx context.Context, id messages.OrderID, body proto.Message) *problem {
	traceparent, tracestate := telemetry.Traceparent(ctx)
	err := a.deps.Publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: body, Traceparent: traceparent, Tracestate: tracestate})
	switch {
	case errors.Is(err, ErrNotStored):
		return unavailable(fmt.Sprintf("order %s: %v", id, err))
	case err != nil:
		return unavailable(fmt.Sprintf("order %s: the message may be stored, send it again: %v", id, err))
	}
	return nil
}

func location(id messages.OrderID) string { return "/v1/orders/" + string(id) }
