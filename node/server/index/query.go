package index

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// ErrQuery is wrapped by the error of every invalid query.
var ErrQuery = errors.New("cannot list orders")

// Limits of a query.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query selects orders; the zero value selects all. They are sorted by their latest change of status, newest first.
type Query struct {
	// Status names; none: any status.
	Status []string `json:"status,omitempty"`
	// Customer is the customer's id.
	Customer string `json:"customer,omitempty"`
	// Reason is part of the order's reason; the case of ASCII letters is ignored. Each cause.Placeholder in it stands for any
	// text, so that a group of causes selects its orders.
	Reason string `json:"reason,omitempty"`
	// Older selects orders that have been in their status for at least that long, Newer for at most that long.
	Older Duration `json:"older,omitempty"`
	Newer Duration `json:"newer,omitempty"`
	// Limit is the largest number of orders in a page, 1–MaxLimit; default DefaultLimit.
	Limit int `json:"limit,omitempty"`
	// Cursor is Next of the previous page.
	Cursor string `json:"cursor,omitempty"`
}

// Duration is written like 90s or 24h.
type Duration time.Duration

// MarshalText writes it as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does; the error wraps ErrQuery.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%w: duration %.40q: want a number with its unit (s, m, h), 0 or more", ErrQuery, text)
	}
	*d = Duration(v)
	return nil
}

// Page answers a Query.
type Page struct {
	Orders []Order `json:"orders"`
	// Next is the cursor of the next page, empty on the last one.
	Next string `json:"next,omitempty"`
	// Behind is the age of the time as of which the page is complete, in seconds.
	Behind float64 `json:"behind"`
	// Rebuilding: the index is being built, and orders of entries it has not read yet are missing. Progress is then the
	// part of the journal that is read, from 0 to 1.
	Rebuilding bool    `json:"rebuilding,omitempty"`
	Progress   float64 `json:"progress,omitempty"`
	// Node that replied.
	Node string `json:"node"`
}

// Order is an order in the index. Its JSON form is stable.
type Order struct {
	OrderID    string `json:"order_id"`
	CustomerID string `json:"customer_id"`
	Status     string `json:"status"`
	// Step the order is at, or while it is undone the step of its last event; empty if it has ended.
	Step string `json:"step,omitempty"`
	// Reason why an order needs attention, is parked, or was rejected or cancelled.
	Reason string `json:"reason,omitempty"`
	// WaitsUntil is the latest time at which a parked order is woken.
	WaitsUntil *time.Time `json:"waits_until,omitempty"`
	Total      string     `json:"total"`
	Currency   string     `json:"currency"`
	Plan       string     `json:"plan"`
	// StatusSince is the time at which the order entered its status, UpdatedAt that of its last event.
	StatusSince time.Time `json:"status_since"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	// Sequence of the order's last entry in the journal.
	Sequence uint64 `json:"sequence"`
}

// parsedQuery is a Query converted for the database.
type parsedQuery struct {
	statuses []Status
	customer string
	// reason in lower case; empty: any.
	reason string
	// since and until bound the order's statusSince, both inclusive.
	until, since int64
	cursor       *cursor
	limit        int
}

// cursor is the key of the last order of a page.
type cursor struct{ statusSince, id int64 }

// Validate returns an error that wraps ErrQuery if the query is invalid.
func (q Query) Validate() error {
	_, err := q.parse(time.Time{})
	return err
}

func (q Query) parse(now time.Time) (c parsedQuery, err error) {
	for _, word := range q.Status {
		s, err := parseStatus(word)
		if err != nil {
			return c, err
		}
		c.statuses = append(c.statuses, s)
	}
	if c.limit = q.Limit; c.limit == 0 {
		c.limit = DefaultLimit
	}
	older, newer := time.Duration(q.Older), time.Duration(q.Newer)
	switch {
	case c.limit < 0 || c.limit > MaxLimit:
		return c, fmt.Errorf("%w: limit %d: want 1–%d", ErrQuery, q.Limit, MaxLimit)
	case older < 0 || newer < 0:
		return c, fmt.Errorf("%w: older and newer: want 0 or more", ErrQuery)
	case newer > 0 && newer <= older:
		return c, fmt.Errorf("%w: no order is both older than %s and newer than %s: want newer to be longer than older", ErrQuery, older, newer)
	case !utf8.ValidString(q.Reason) || strings.ContainsRune(q.Reason, 0):
		return c, fmt.Errorf("%w: reason %.40q: want UTF-8 without NUL", ErrQuery, q.Reason)
	case len(q.Reason) > wire.MaxReason:
		return c, fmt.Errorf("%w: reason has %d bytes: at most %d are allowed", ErrQuery, len(q.Reason), wire.MaxReason)
	}
	c.customer = wire.Clip([]byte(q.Customer), wire.MaxCustomer)
	c.reason = asciiLower(q.Reason)
	c.until, c.since = math.MaxInt64, math.MinInt64
	if older > 0 {
		c.until = now.Add(-older).UnixNano()
	}
	if newer > 0 {
		c.since = now.Add(-newer).UnixNano()
	}
	if q.Cursor != "" {
		if c.cursor, err = parseCursor(q.Cursor); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", c.statusSince, c.id))
}

func parseCursor(s string) (*cursor, error) {
	wrong := fmt.Errorf("%w: cursor %.40q: want the field next of the previous page", ErrQuery, s)
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(s) > 64 {
		return nil, wrong
	}
	entered, id, _ := strings.Cut(string(text), ".")
	c := &cursor{}
	if c.statusSince, err = strconv.ParseInt(entered, 10, 64); err != nil {
		return nil, wrong
	}
	if c.id, err = strconv.ParseInt(id, 10, 64); err != nil {
		return nil, wrong
	}
	return c, nil
}
