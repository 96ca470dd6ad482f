package gateway

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxSimLatency catches typing errors.
	maxSimLatency = time.Hour
	// simDeadline is the deadline of pending replies, from now.
	simDeadline = time.Second
)

// simDone is the reply to every simulated call that succeeds.
var simDone = &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{}}}

// sim is a simulated service: sim:?latency=5ms&fail=0.01&reject=0.01&pending=0.01&seed=7. The rates are probabilities. Draws
// are hashes of the seed and the call, so a call has the same reply on every node and in every run: a rejection depends on
// the idempotency key alone, as that of a real service, a failure and a pending reply on the attempt too. An undo is never
// rejected and never pending.
type sim struct {
	latency               time.Duration
	fail, reject, pending float64
	seed                  uint64
}

func parseSim(rest string) (*target, error) {
	const want = "want sim:?latency=5ms&fail=0.01&reject=0.01&pending=0.01&seed=7, each optional"
	name := "sim:" + rest
	if rest == "" {
		return &target{name: name, sim: &sim{}}, nil
	}
	if rest[0] != '?' {
		return nil, fmt.Errorf("%w: options of sim: begin with ?: %s", ErrTarget, want)
	}
	options, err := url.ParseQuery(rest[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: options of sim: cannot be read: %s", ErrTarget, want)
	}
	s := &sim{}
	for key, values := range options {
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: option %q of sim: is given %d times: %s", ErrTarget, key, len(values), want)
		}
		value := values[0]
		switch key {
		case "latency":
			s.latency, err = time.ParseDuration(value)
			if err != nil || s.latency < 0 || s.latency > maxSimLatency {
				return nil, fmt.Errorf("%w: latency %q of sim: is not a duration from 0s to %s", ErrTarget, value, maxSimLatency)
			}
		case "fail":
			s.fail, err = parseRate(key, value)
		case "reject":
			s.reject, err = parseRate(key, value)
		case "pending":
			s.pending, err = parseRate(key, value)
		case "seed":
			if s.seed, err = strconv.ParseUint(value, 10, 64); err != nil {
				return nil, fmt.Errorf("%w: seed %q of sim: is not a whole number", ErrTarget, value)
			}
		default:
			return nil, fmt.Errorf("%w: option %q of sim: is unknown: %s", ErrTarget, key, want)
		}
		if err != nil {
			return nil, err
		}
	}
	return &target{name: name, sim: s}, nil
}

func parseRate(key, value string) (float64, error) {
	p, err := strconv.ParseFloat(value, 64)
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("%w: %s %q of sim: is not a number from 0 to 1", ErrTarget, key, value)
	}
	return p, nil
}

// answer returns the end of the call.
func (s *sim) answer(c *Call, serverTime func(time.Time) time.Time) (*messages.StepReply, error) {
	if s.fail == 0 && s.reject == 0 && s.pending == 0 {
		return simDone, nil
	}
	key, attempt := c.Request.GetIdempotencyKey(), c.Attempt
	if s.draw("fail", key, attempt) < s.fail {
		return nil, fail(messages.Transient, false, "sim: simulated failure")
	}
	if c.Direction == messages.Undo {
		return simDone, nil
	}
	if s.draw("reject", key, 0) < s.reject {
		return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{
			Code: "simulated", Reason: "sim: simulated rejection",
		}}}, nil
	}
	if s.draw("pending", key, attempt) < s.pending {
		return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{
			Signal: c.signal(), Deadline: timestamppb.New(serverTime(time.Now().Add(simDeadline))),
		}}}, nil
	}
	return simDone, nil
}

// draw returns a number in [0,1) that depends on its arguments and the seed only.
func (s *sim) draw(kind, key string, attempt uint32) float64 {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], s.seed)
	binary.BigEndian.PutUint32(b[8:], attempt)
	h := fnv.New64a()
	h.Write(b[:])
	h.Write([]byte(kind))
	h.Write([]byte(key))
	// FNV leaves the high bits of similar keys alike; the finalizer of MurmurHash3 spreads them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
