// Package wire decodes the parts of journal entries that the index needs. It is a package of its own so that fuzzing it does
// not instrument the database, which takes a quarter of a second per run.
package wire

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/orderly-engine/orderly/messages"
)

// Limits of texts, in bytes; longer ones are clipped.
const (
	MaxCustomer = 256
	MaxReason   = 1024
	maxStep     = 128
	maxCurrency = 16
)

// Unset means a missing amount or time.
const Unset = math.MinInt64

// The kinds of events that a row depends on: their field numbers in messages.Event.
const (
	Accepted        = 1
	StepCompleted   = 2
	StepFailed      = 3
	StepRejected    = 4
	StepPending     = 5
	StepUndone      = 6
	CancelRequested = 7
	Parked          = 9
	Resumed         = 10
	Attention       = 11
	Completed       = 12
	Rejected        = 13
	Cancelled       = 14
)

// Entry is a journal entry.
type Entry struct {
	Sequence uint64
	// OrderID shares the memory of the body.
	OrderID []byte
	// Number within the order; 1 accepts it. Previous is the sequence of the entry before it.
	Number, Previous uint64
	// Time in Unix nanoseconds, or Unset.
	Time   int64
	Events []Event
}

// Event is one event of an entry; which fields are set depends on the kind. Texts are clipped.
type Event struct {
	Kind     protowire.Number
	Step     string
	Reason   string
	Until    int64 // Unix nanoseconds, or Unset
	Customer string
	Total    int64 // minor units, or Unset
	Currency string
	Plan     *Plan
}

// Plan is the part of a plan that the index keeps. Orders with the same plan share one.
type Plan struct {
	Name    string
	Version uint32
	Steps   []string
}

// Step is the name of step i, or empty if there is none.
func (p *Plan) Step(i int) string {
	if p == nil || i >= len(p.Steps) {
		return ""
	}
	return p.Steps[i]
}

var errWire = errors.New("not the wire form of a journal entry")

// Decoder decodes journal entries. It does not use the protobuf library, which would allocate hundreds of small objects: at
// full rate the index decodes five entries for each order of the engine.
type Decoder struct {
	// plans by their encoding: most orders have the plan of the previous one.
	plans map[string]*Plan
	// known are the same plans by their key.
	known map[string]*Plan
}

// maxPlans is the largest number of plans cached by their encoding.
const maxPlans = 1024

// NewDecoder returns a decoder that reuses the known plans.
func NewDecoder(known []*Plan) *Decoder {
	d := &Decoder{plans: map[string]*Plan{}, known: map[string]*Plan{}}
	for _, p := range known {
		d.known[p.key()] = p
	}
	return d
}

func (p *Plan) key() string {
	return fmt.Sprintf("%s\x00%d\x00%s", p.Name, p.Version, strings.Join(p.Steps, "\x00"))
}

// Decode reads body into e, which shares its memory; the events of e are reused.
func (d *Decoder) Decode(sequence uint64, body []byte, e *Entry) error {
	*e = Entry{Sequence: sequence, Events: e.Events[:0]}
	var at clockTime
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			e.OrderID = v.bytes
		case 2:
			e.Number = v.number
		case 3:
			return at.read(v.bytes)
		case 6:
			return d.event(v.bytes, e)
		case 7:
			e.Previous = v.number
		}
		return nil
	})
	e.Time = at.nanos()
	return err
}

// event decodes an Event, a message with one field, whose number is the kind.
func (d *Decoder) event(body []byte, e *Entry) error {
	return fields(body, func(n protowire.Number, v value) error {
		e.Events = append(e.Events, Event{Kind: n, Total: Unset, Until: Unset})
		return d.eventDetail(v.bytes, &e.Events[len(e.Events)-1])
	})
}

// eventDetail decodes the fields of an event, see orderly/v1/journal.proto.
func (d *Decoder) eventDetail(body []byte, ev *Event) (err error) {
	switch ev.Kind {
	case Accepted:
		err = fields(body, func(n protowire.Number, v value) (err error) {
			switch n {
			case 1:
				return ev.order(v.bytes)
			case 2:
				ev.Plan, err = d.plan(v.bytes)
			}
			return err
		})
		if ev.Plan == nil && err == nil {
			ev.Plan, err = d.plan(nil)
		}
	case StepFailed, StepRejected, StepPending, StepUndone:
		ev.Step, err = textField(body, 1, maxStep)
	case Attention:
		if ev.Step, err = textField(body, 1, maxStep); err == nil {
			ev.Reason, err = textField(body, 4, MaxReason)
		}
	case Parked:
		err = ev.parked(body)
	case Rejected:
		ev.Reason, err = textField(body, 2, MaxReason)
	case Cancelled:
		ev.Reason, err = textField(body, 1, MaxReason)
	}
	return err
}

func (ev *Event) parked(body []byte) error {
	var until clockTime
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			ev.Reason = Clip(v.bytes, MaxReason)
		case 2:
			return until.read(v.bytes)
		}
		return nil
	})
	ev.Until = until.nanos()
	return err
}

// order decodes the fields of an OrderCreated that a row has.
func (ev *Event) order(body []byte) error {
	total := 0.0
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 2:
			ev.Customer = Clip(v.bytes, MaxCustomer)
		case 4:
			total = math.Float64frombits(v.number)
		case 5:
			ev.Currency = Clip(v.bytes, maxCurrency)
		}
		return nil
	})
	ev.Total = minorUnits(total, ev.Currency)
	return err
}

// plan decodes a Plan, or returns the cached one.
func (d *Decoder) plan(body []byte) (*Plan, error) {
	if p, ok := d.plans[string(body)]; ok {
		return p, nil
	}
	p := &Plan{}
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			p.Name = Clip(v.bytes, maxStep)
		case 2:
			p.Version = uint32(v.number)
		case 3:
			name, err := textField(v.bytes, 1, maxStep)
			p.Steps = append(p.Steps, name)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if known, ok := d.known[p.key()]; ok {
		p = known
	} else {
		d.known[p.key()] = p
	}
	if len(d.plans) >= maxPlans {
		clear(d.plans)
	}
	d.plans[string(body)] = p
	return p, nil
}

// value of a field: bytes, or a number of up to 64 bits.
type value struct {
	bytes  []byte
	number uint64
}

// fields calls f for each field of an encoded message.
func fields(b []byte, f func(protowire.Number, value) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errWire
		}
		b = b[size:]
		var v value
		switch kind {
		case protowire.VarintType:
			v.number, size = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v.number, size = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.bytes, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return errWire
		}
		b = b[size:]
		if err := f(n, v); err != nil {
			return err
		}
	}
	return nil
}

// textField decodes one text field, clipped to most bytes.
func textField(body []byte, field protowire.Number, most int) (s string, err error) {
	err = fields(body, func(n protowire.Number, v value) error {
		if n == field {
			s = Clip(v.bytes, most)
		}
		return nil
	})
	return s, err
}

// Clip returns the text, clipped to most bytes at a character's boundary.
func Clip(b []byte, most int) string {
	if len(b) > most {
		b = b[:most]
	}
	return strings.ToValidUTF8(string(b), "")
}

// clockTime is a google.protobuf.Timestamp.
type clockTime struct {
	set              bool
	seconds, nanosec int64
}

func (t *clockTime) read(body []byte) error {
	t.set = true
	return fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			t.seconds = int64(v.number)
		case 2:
			t.nanosec = int64(int32(v.number))
		}
		return nil
	})
}

// maxSeconds is the last second whose nanoseconds fit into an int64, in the year 2262.
const maxSeconds = math.MaxInt64/1_000_000_000 - 1

// nanos is the time in Unix nanoseconds, Unset if it is not set or out of range.
func (t *clockTime) nanos() int64 {
	if !t.set || t.seconds < 0 || t.seconds > maxSeconds {
		return Unset
	}
	return t.seconds*1_000_000_000 + t.nanosec
}

// minorUnits is an amount in minor units, or Unset.
func minorUnits(units float64, currency string) int64 {
	if m, ok := messages.MinorUnits(units, currency); ok {
		return m
	}
	return Unset
}
