package messages

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// Limits on the content of an order.
const (
	// MaxItems is the largest number of lines of an order.
	MaxItems = 1000
	// MaxName is the size of the longest customer or product id or signal name, in bytes.
	MaxName = 256
	// maxProblems is how many problems an InvalidOrder lists.
	maxProblems = 8
)

// InvalidOrder is the error of an order with invalid fields.
type InvalidOrder struct {
	// Problems lists the first eight, each with the field, its value and what is allowed.
	Problems []string
	// More counts the problems that are not listed.
	More int
}

func (e *InvalidOrder) Error() string {
	text := strings.Join(e.Problems, "; ")
	if e.More > 0 {
		text += fmt.Sprintf("; and %d more", e.More)
	}
	return text
}

// Normalize sets an absent currency, and a total of 0 to the sum of the lines. It leaves the total of an order whose lines
// cannot be summed: Validate reports these.
func Normalize(o *OrderCreated) {
	if o.Currency == "" {
		o.Currency = DefaultCurrency
	}
	if o.TotalAmount != 0 {
		return
	}
	if s, ok := scale(o.Currency); ok {
		if a, ok := sum(o.Items, s); ok {
			o.TotalAmount = math.Round(a.minor()) / s
		}
	}
}

// Validate checks a normalized order that was published to the subject of id. The error is an *InvalidOrder.
func Validate(o *OrderCreated, id OrderID) error {
	var p problems
	switch o.GetOrderId() {
	case string(id):
	case "":
		p.add("order_id is missing: want %q, the last token of the subject", string(id))
	default:
		p.add("order_id is %s: want %q, the last token of the subject", quoteTruncated(o.GetOrderId()), string(id))
	}
	p.checkName("customer_id", -1, o.GetCustomerId())
	p.checkItems(o.GetItems())
	p.checkMoney(o)
	p.checkSize(o)
	return p.err()
}

// SameOrder reports whether two orders are equal after Normalize, independently of their encodings.
func SameOrder(a, b *OrderCreated) bool {
	if a.GetOrderId() != b.GetOrderId() || a.GetCustomerId() != b.GetCustomerId() || len(a.GetItems()) != len(b.GetItems()) ||
		currencyOf(a) != currencyOf(b) || !bytes.Equal(a.ProtoReflect().GetUnknown(), b.ProtoReflect().GetUnknown()) {
		return false
	}
	for i, x := range a.GetItems() {
		y := b.Items[i]
		if x.GetProductId() != y.GetProductId() || x.GetQuantity() != y.GetQuantity() || x.GetUnitPrice() != y.GetUnitPrice() ||
			!bytes.Equal(x.ProtoReflect().GetUnknown(), y.ProtoReflect().GetUnknown()) {
			return false
		}
	}
	return a.GetTotalAmount() == b.GetTotalAmount() || normalizedTotal(a) == normalizedTotal(b)
}

func currencyOf(o *OrderCreated) string {
	if c := o.GetCurrency(); c != "" {
		return c
	}
	return DefaultCurrency
}

// normalizedTotal returns the total after Normalize.
func normalizedTotal(o *OrderCreated) float64 {
	filled := OrderCreated{Items: o.GetItems(), TotalAmount: o.GetTotalAmount(), Currency: o.GetCurrency()}
	Normalize(&filled)
	return filled.TotalAmount
}

// problems collects problems; without any it does not allocate.
type problems struct {
	listed []string
	more   int
}

func (p *problems) add(format string, args ...any) {
	if len(p.listed) == maxProblems {
		p.more++
		return
	}
	p.listed = append(p.listed, fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.listed) == 0 {
		return nil
	}
	return &InvalidOrder{Problems: p.listed, More: p.more}
}

// checkName checks a customer id (item -1), or the product id of the item with that index.
func (p *problems) checkName(field string, item int, name string) {
	if name != "" && len(name) <= MaxName && utf8.ValidString(name) {
		return
	}
	if item >= 0 {
		field = fmt.Sprintf("items[%d].%s", item, field)
	}
	switch {
	case name == "":
		p.add("%s is missing", field)
	case len(name) > MaxName:
		p.add("%s has %d bytes: at most %d are allowed", field, len(name), MaxName)
	default:
		p.add("%s is not valid UTF-8", field)
	}
}

// checkSize checks the size of an otherwise valid order in JSON. It may be six times that in protobuf, for the escapes.
func (p *problems) checkSize(o *OrderCreated) {
	if len(p.listed) > 0 || 6*proto.Size(o)+100 <= MaxBody {
		return
	}
	if text, err := MarshalJSON(o); err != nil {
		p.add("order cannot be written as JSON: %s", errorText(err))
	} else if len(text) > MaxBody {
		p.add("order has %d bytes in JSON: at most %d are allowed", len(text), MaxBody)
	}
}

func (p *problems) checkItems(items []*OrderItem) {
	if len(items) == 0 {
		p.add("items is empty: want 1–%d", MaxItems)
		return
	}
	if len(items) > MaxItems {
		p.add("items has %d lines: at most %d are allowed", len(items), MaxItems)
		return
	}
	for i, item := range items {
		p.checkName("product_id", i, item.GetProductId())
		if item.GetQuantity() < 1 {
			p.add("items[%d].quantity is %d: want at least 1", i, item.GetQuantity())
		}
		if price := item.GetUnitPrice(); math.IsNaN(price) || math.IsInf(price, 0) {
			p.add("items[%d].unit_price is %v: want a finite number", i, price)
		} else if price < 0 {
			p.add("items[%d].unit_price is %v: want at least 0", i, price)
		}
	}
}

// checkMoney checks the currency and the total; with invalid lines the total is not compared.
func (p *problems) checkMoney(o *OrderCreated) {
	total := o.GetTotalAmount()
	finite := !math.IsNaN(total) && !math.IsInf(total, 0)
	if !finite {
		p.add("total_amount is %v: want a finite number", total)
	}
	s, known := scale(o.GetCurrency())
	if !known {
		p.add("currency is %s: want a currency of ISO 4217 in three capital letters", quoteTruncated(o.GetCurrency()))
	}
	if !known || len(p.listed) > 0 && !linesSummable(o.GetItems()) || len(o.GetItems()) > MaxItems {
		return
	}
	a, ok := sum(o.GetItems(), s)
	if !ok {
		p.add("the lines add up to more than %.0f %s, the largest amount that is handled", maxMinor/s, o.GetCurrency())
		return
	}
	if finite && !a.equals(total, s) {
		p.add("total_amount is %v %s: the lines add up to %v", total, o.GetCurrency(), a.minor()/s)
	}
}

func linesSummable(items []*OrderItem) bool {
	for _, item := range items {
		if price := item.GetUnitPrice(); item.GetQuantity() < 1 || !(price >= 0) || math.IsInf(price, 0) {
			return false
		}
	}
	return true
}

// quoteTruncated quotes untrusted text, at most 80 bytes of it.
func quoteTruncated(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
