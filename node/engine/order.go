package engine

import "github.com/orderly-engine/orderly/messages"

// Order is an order that a client publishes. Its JSON form is that of a created message.
type Order struct {
	// ID is 1–64 characters of A–Z a–z 0–9 _ -.
	ID         string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Items      []Item `json:"items"`
	// Total in units of the currency; 0: the sum of the items is filled in.
	Total float64 `json:"total_amount,omitempty"`
	// Currency by ISO 4217; default USD.
	Currency string `json:"currency,omitempty"`
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"product_id"`
	// Quantity is at least 1.
	Quantity int32 `json:"quantity"`
	// UnitPrice in units of the currency, not negative.
	UnitPrice float64 `json:"unit_price"`
}

// Message returns the order as the message that is stored.
func (o Order) Message() *messages.OrderCreated {
	m := &messages.OrderCreated{
		OrderId: o.ID, CustomerId: o.CustomerID, TotalAmount: o.Total, Currency: o.Currency,
		Items: make([]*messages.OrderItem, len(o.Items)),
	}
	for i, item := range o.Items {
		m.Items[i] = &messages.OrderItem{ProductId: item.ProductID, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	return m
}

func orderOf(m *messages.OrderCreated) Order {
	o := Order{
		ID: m.GetOrderId(), CustomerID: m.GetCustomerId(), Total: m.GetTotalAmount(), Currency: m.GetCurrency(),
		Items: make([]Item, len(m.GetItems())),
	}
	for i, item := range m.GetItems() {
		o.Items[i] = Item{ProductID: item.GetProductId(), Quantity: item.GetQuantity(), UnitPrice: item.GetUnitPrice()}
	}
	return o
}
