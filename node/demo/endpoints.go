package demo

import (
	"encoding/json"
	"hash/fnv"
	"strconv"

	"github.com/orderly-engine/orderly/messages"
)

// Content of an order that makes a service refuse it or fail, with any Behavior.
const (
	// ProductOutOfStock in an item: inventory refuses to reserve.
	ProductOutOfStock = "out-of-stock"
	// CustomerDeclined: payments refuses to authorize, after the reservation.
	CustomerDeclined = "demo-rejected"
	// ProductTooHeavy in an item: shipping refuses, after reservation and authorization.
	ProductTooHeavy = "too-heavy"
	// CustomerUnavailable: payments is never available to this customer.
	CustomerUnavailable = "demo-unavailable"
)

// endpoint is one call of a service.
type endpoint struct {
	service, name string
	direction     messages.Direction
	// perform computes the result of the call from the order and the results of earlier steps; nil for an undo.
	perform func(key string, r *messages.StepRequest) (map[string]any, *messages.StepRefused)
}

func (e *endpoint) subject() string { return e.service + "." + e.name }

var endpoints = []*endpoint{
	{"inventory", "reserve", messages.Do, reserve},
	{"inventory", "release", messages.Undo, nil},
	{"payments", "authorize", messages.Do, authorize},
	{"payments", "void", messages.Undo, nil},
	{"payments", "capture", messages.Do, capturePayment},
	{"shipping", "create", messages.Do, ship},
	{"shipping", "cancel", messages.Undo, nil},
}

func reserve(key string, r *messages.StepRequest) (map[string]any, *messages.StepRefused) {
	if contains(r, ProductOutOfStock) {
		return nil, &messages.StepRefused{Code: "out_of_stock", Reason: "a product of the order is out of stock"}
	}
	return map[string]any{
		"reservation": id("r", key),
		"pieces":      pieces(r),
	}, nil
}

func authorize(key string, r *messages.StepRequest) (map[string]any, *messages.StepRefused) {
	if r.GetOrder().GetCustomerId() == CustomerDeclined {
		return nil, &messages.StepRefused{Code: "card_declined", Reason: "the card of the customer was declined"}
	}
	return map[string]any{
		"authorization": id("a", key),
		"amount":        r.GetOrder().GetTotalAmount(),
		"currency":      r.GetOrder().GetCurrency(),
	}, nil
}

func ship(key string, r *messages.StepRequest) (map[string]any, *messages.StepRefused) {
	if contains(r, ProductTooHeavy) {
		return nil, &messages.StepRefused{Code: "too_heavy", Reason: "no carrier takes a product of the order"}
	}
	return map[string]any{
		"shipment": id("s", key),
		"carrier":  "tortoise-freight",
	}, nil
}

func capturePayment(key string, r *messages.StepRequest) (map[string]any, *messages.StepRefused) {
	data := map[string]any{"payment": id("p", key)}
	var authorized struct{ Authorization json.RawMessage }
	if json.Unmarshal([]byte(r.GetResults()["authorize_payment"]), &authorized) == nil && authorized.Authorization != nil {
		data["authorization"] = authorized.Authorization
	}
	return data, nil
}

// id names the object that a call created: the same for every call with the key.
func id(prefix, key string) string {
	h := fnv.New64a()
	h.Write([]byte(key))
	return prefix + "-" + strconv.FormatUint(h.Sum64(), 36)
}

func contains(r *messages.StepRequest, product string) bool {
	for _, item := range r.GetOrder().GetItems() {
		if item.GetProductId() == product {
			return true
		}
	}
	return false
}

func pieces(r *messages.StepRequest) (n float64) {
	for _, item := range r.GetOrder().GetItems() {
		n += float64(item.GetQuantity())
	}
	return n
}
