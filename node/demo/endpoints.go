package demo

import (
	"hash/fnv"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

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
	perform func(key string, r *messages.StepRequest) (map[string]*structpb.Value, *messages.StepRefused)
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

func reserve(key string, r *messages.StepRequest) (map[string]*structpb.Value, *messages.StepRefused) {
	if contains(r, ProductOutOfStock) {
		return nil, &messages.StepRefused{Code: "out_of_stock", Reason: "a product of the order is out of stock"}
	}
	return map[string]*structpb.Value{
		"reservation": id("r", key),
		"pieces":      structpb.NewNumberValue(pieces(r)),
	}, nil
}

func authorize(key string, r *messages.StepRequest) (map[string]*structpb.Value, *messages.StepRefused) {
	if r.GetOrder().GetCustomerId() == CustomerDeclined {
		return nil, &messages.StepRefused{Code: "card_declined", Reason: "the card of the customer was declined"}
	}
	return map[string]*structpb.Value{
		"authorization": id("a", key),
		"amount":        structpb.NewNumberValue(r.GetOrder().GetTotalAmount()),
		"currency":      structpb.NewStringValue(r.GetOrder().GetCurrency()),
	}, nil
}

func ship(key string, r *messages.StepRequest) (map[string]*structpb.Value, *messages.StepRefused) {
	if contains(r, ProductTooHeavy) {
		return nil, &messages.StepRefused{Code: "too_heavy", Reason: "no carrier takes a product of the order"}
	}
	return map[string]*structpb.Value{
		"shipment": id("s", key),
		"carrier":  structpb.NewStringValue("tortoise-freight"),
	}, nil
}

func capturePayment(key string, r *messages.StepRequest) (map[string]*structpb.Value, *messages.StepRefused) {
	data := map[string]*structpb.Value{"payment": id("p", key)}
	if a := r.GetResults()["authorize_payment"].GetStructValue().GetFields()["authorization"]; a != nil {
		data["authorization"] = a
	}
	return data, nil
}

// id names the object that a call created: the same for every call with the key.
func id(prefix, key string) *structpb.Value {
	h := fnv.New64a()
	h.Write([]byte(key))
	return structpb.NewStringValue(prefix + "-" + strconv.FormatUint(h.Sum64(), 36))
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
