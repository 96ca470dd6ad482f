package index

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The kinds of events a row depends on: their field numbers in messages.Event.
const (
	kindAccepted        = 1
	kindStepCompleted   = 2
	kindStepFailed      = 3
	kindStepRejected    = 4
	kindStepPending     = 5
	kindStepUndone      = 6
	kindCancelRequested = 7
	kindParked          = 9
	kindResumed         = 10
	kindAttention       = 11
	kindCompleted       = 12
	kindRejected        = 13
	kindCancelled       = 14
)

// entry is a journal entry as far as the index needs it.
type entry struct {
	sequence uint64
	// orderID is a part of the body.
	orderID []byte
	// number within the order; 1 accepts it.
	number uint64
	// time in Unix nanoseconds.
	time   int64
	events []event
}

// event is one event of an entry; which fields are set depends on the kind.
type event struct {
	kind     protowire.Number
	step     string
	reason   string
	until    int64
	customer string
	total    int64
	currency string
	plan     *plan
}

var errWire = errors.New("not the wire form of a journal entry")

// decoder reads journal entries. It reads by hand what the library would make hundreds of small objects of: at full rate
// the index decodes five entries for every order that the engine carries.
type decoder struct {
	// plans by their encoded form: all but a few orders have the plan of the one before.
	plans map[string]*plan
	// known are the same plans by what the index keeps of them.
	known map[string]*plan
}

// maxPlans bounds the plans that are remembered by their encoded form.
const maxPlans = 1024

func newDecoder(known []*plan) *decoder {
	d := &decoder{plans: map[string]*plan{}, known: map[string]*plan{}}
	for _, p := range known {
		d.known[p.key()] = p
	}
	return d
}

func (p *plan) key() string {
	return fmt.Sprintf("%s\x00%d\x00%s", p.name, p.version, strings.Join(p.steps, "\x00"))
}

// decode reads body into e, whose events it uses again.
func (d *decoder) decode(sequence uint64, body []byte, e *entry) error {
	*e = entry{sequence: sequence, events: e.events[:0]}
	var at clockTime
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			e.orderID = v.bytes
		case 2:
			e.number = v.number
		case 3:
			return at.read(v.bytes)
		case 6:
			return d.event(v.bytes, e)
		}
		return nil
	})
	e.time = at.nanos()
	return err
}

// event reads one Event: a message with a single field, whose number is the kind.
func (d *decoder) event(body []byte, e *entry) error {
	return fields(body, func(n protowire.Number, v value) error {
		e.events = append(e.events, event{kind: n, total: none, until: none})
		return d.detail(v.bytes, &e.events[len(e.events)-1])
	})
}

// The fields of each kind, as in orderly/v1/journal.proto.
func (d *decoder) detail(body []byte, ev *event) (err error) {
	switch ev.kind {
	case kindAccepted:
		err = fields(body, func(n protowire.Number, v value) (err error) {
			switch n {
			case 1:
				return ev.order(v.bytes)
			case 2:
				ev.plan, err = d.plan(v.bytes)
			}
			return err
		})
		if ev.plan == nil && err == nil {
			ev.plan, err = d.plan(nil)
		}
	case kindStepFailed, kindStepRejected, kindStepPending, kindStepUndone:
		ev.step, err = text(body, 1, maxStep)
	case kindAttention:
		if ev.step, err = text(body, 1, maxStep); err == nil {
			ev.reason, err = text(body, 4, maxReason)
		}
	case kindParked:
		err = ev.parked(body)
	case kindRejected:
		ev.reason, err = text(body, 2, maxReason)
	case kindCancelled:
		ev.reason, err = text(body, 1, maxReason)
	}
	return err
}

func (ev *event) parked(body []byte) error {
	var until clockTime
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			ev.reason = clip(v.bytes, maxReason)
		case 2:
			return until.read(v.bytes)
		}
		return nil
	})
	ev.until = until.nanos()
	return err
}

// order reads what a row takes from an OrderCreated.
func (ev *event) order(body []byte) error {
	total := 0.0
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 2:
			ev.customer = clip(v.bytes, maxCustomer)
		case 4:
			total = math.Float64frombits(v.number)
		case 5:
			ev.currency = clip(v.bytes, maxCurrency)
		}
		return nil
	})
	ev.total = minor(total, ev.currency)
	return err
}

// plan reads a Plan, or finds the one that was read before.
func (d *decoder) plan(body []byte) (*plan, error) {
	if p, ok := d.plans[string(body)]; ok {
		return p, nil
	}
	p := &plan{}
	err := fields(body, func(n protowire.Number, v value) error {
		switch n {
		case 1:
			p.name = clip(v.bytes, maxStep)
		case 2:
			p.version = uint32(v.number)
		case 3:
			name, err := text(v.bytes, 1, maxStep)
			p.steps = append(p.steps, name)
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

// value is a field's content: bytes, or a number of up to 64 bits.
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

// text reads one text field, clipped to so many bytes.
func text(body []byte, field protowire.Number, most int) (s string, err error) {
	err = fields(body, func(n protowire.Number, v value) error {
		if n == field {
			s = clip(v.bytes, most)
		}
		return nil
	})
	return s, err
}

// clip is a text of at most so many bytes, without a character cut in two.
func clip(b []byte, most int) string {
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

// maxSeconds is the last second whose nanoseconds fit, about the year 2262.
const maxSeconds = math.MaxInt64/1_000_000_000 - 1

// nanos is the time in Unix nanoseconds; none if it is not set or beyond what they can say.
func (t *clockTime) nanos() int64 {
	if !t.set || t.seconds < 0 || t.seconds > maxSeconds {
		return none
	}
	return t.seconds*1_000_000_000 + t.nanosec
}
