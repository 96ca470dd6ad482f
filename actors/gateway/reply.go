package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxDelay bounds what a service may ask an order to wait; the policy of the step may bound it further.
	maxDelay = 24 * time.Hour
	// maxDepth is how deep step data may nest.
	maxDepth = 64
	// maxWord bounds codes and signal names, in bytes.
	maxNameBytes = 128
)

var errNoResult = errors.New("it has no result: want one of done, rejected, pending, retry")

// answer is what came back on a call, whatever the transport.
type response struct {
	// status is the HTTP status or Nats-Service-Error-Code; 0 where none was sent and the body alone decides.
	status                  int
	contentType, retryAfter string
	// reason is what the transport itself says about an error.
	reason string
	body   []byte
}

// reply says what the answer means for the step; see the package documentation. The error is a Transient failure.
func (a *response) reply(step *messages.Step, now time.Time) (*messages.StepReply, error) {
	var r *messages.StepReply
	var err error
	switch {
	case a.status == 0:
		r, err = a.decode(step)
	case a.status >= 200 && a.status <= 299:
		r, err = a.readSuccess(step, now)
	case isRejection(a.status):
		r = a.readRejection(step)
	default:
		return nil, a.transientError(step, now)
	}
	if err == nil {
		err = normalizeReply(r, step)
	}
	if err != nil {
		return nil, transient("answer cannot be read: %w", err)
	}
	return r, nil
}

// refusal reports whether a status is a business no.
func isRejection(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status <= 499
}

// decode reads the body as a StepReply that has a result.
func (a *response) decode(step *messages.Step) (*messages.StepReply, error) {
	r := &messages.StepReply{}
	var err error
	if isJSON(a.contentType, a.body, step.GetEncoding()) {
		err = fromJSON.Unmarshal(a.body, r)
	} else {
		err = proto.Unmarshal(a.body, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s (it begins with %q)", sanitize(err.Error(), 200), sanitize(string(a.body), 60))
	}
	if r.GetResult() == nil {
		return nil, errNoResult
	}
	return r, nil
}

// accepted reads an answer whose status says that the call was taken.
func (a *response) readSuccess(step *messages.Step, now time.Time) (*messages.StepReply, error) {
	var data *structpb.Value
	if len(a.body) > 0 {
		r, err := a.decode(step)
		if err == nil || !isJSON(a.contentType, a.body, step.GetEncoding()) {
			return r, err
		}
		data = &structpb.Value{}
		if fromJSON.Unmarshal(a.body, data) != nil {
			return nil, err
		}
		for _, name := range [...]string{"done", "rejected", "pending", "retry"} {
			if _, meant := data.GetStructValue().GetFields()[name]; meant {
				return nil, err
			}
		}
	}
	if a.status == http.StatusAccepted {
		waiting := &messages.StepWaiting{Signal: step.GetName()}
		if after := parseRetryAfter(a.retryAfter, now); after > 0 {
			waiting.Deadline = timestamppb.New(now.Add(after))
		}
		return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: waiting}}, nil
	}
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}, nil
}

func (a *response) readRejection(step *messages.Step) *messages.StepReply {
	if r, err := a.decode(step); err == nil && r.GetRejected() != nil {
		return r
	}
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{
		Code: strconv.Itoa(a.status), Reason: a.errorText(),
	}}}
}

func (a *response) transientError(step *messages.Step, now time.Time) error {
	after := parseRetryAfter(a.retryAfter, now)
	words := a.errorText()
	if r, err := a.decode(step); err == nil && r.GetRetry() != nil && normalizeReply(r, step) == nil {
		if said := r.GetRetry().GetReason(); said != "" {
			words = said
		}
		after = max(after, r.GetRetry().GetAfter().AsDuration())
	}
	if a.status >= 300 && a.status <= 399 {
		words = "redirects are not followed: name the final URL in the plan"
	}
	return transientAfter(after, "answered %d: %s", a.status, words)
}

// words is the reason an answer gives for an error: the transport's, a problem document's, plain text, or the name of the
// status.
func (a *response) errorText() string {
	if w := sanitize(a.reason, maxReasonBytes); w != "" {
		return w
	}
	var problem struct{ Detail, Title, Message, Error, Reason any }
	if len(a.body) > 0 && a.body[0] == '{' {
		if json.Unmarshal(a.body, &problem) == nil {
			for _, field := range []any{problem.Detail, problem.Reason, problem.Message, problem.Error, problem.Title} {
				if s, ok := field.(string); ok && sanitize(s, maxReasonBytes) != "" {
					return sanitize(s, maxReasonBytes)
				}
			}
		}
	} else if strings.HasPrefix(strings.ToLower(a.contentType), "text/plain") {
		if w := sanitize(string(a.body), maxReasonBytes); w != "" {
			return w
		}
	}
	if w := http.StatusText(a.status); w != "" {
		return w
	}
	return "no reason given"
}

// parseRetryAfter reads a Retry-After header, in seconds or as an HTTP date; 0 when it is absent or says nothing.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxDelay)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxDelay)
	}
	return 0
}

// tidy makes a reply fit for the journal and for later requests: words clipped, delays bounded, a signal named. It
// refuses data that could not be written again.
func normalizeReply(r *messages.StepReply, step *messages.Step) error {
	switch result := r.GetResult().(type) {
	case *messages.StepReply_Done:
		if result.Done == nil {
			result.Done = &messages.StepDone{}
		}
		data := result.Done.GetData()
		if n := proto.Size(data); n > messages.MaxBody {
			return fmt.Errorf("its data have %d bytes: at most %d are allowed", n, messages.MaxBody)
		}
		return checkValue(data, maxDepth)
	case *messages.StepReply_Rejected:
		result.Rejected.Code = sanitize(result.Rejected.GetCode(), maxNameBytes)
		result.Rejected.Reason = sanitize(result.Rejected.GetReason(), maxReasonBytes)
	case *messages.StepReply_Pending:
		if len(result.Pending.GetSignal()) > maxNameBytes {
			return fmt.Errorf("its signal has %d bytes: at most %d are allowed", len(result.Pending.GetSignal()), maxNameBytes)
		}
		if result.Pending.GetSignal() == "" {
			result.Pending.Signal = step.GetName()
		}
		if d := result.Pending.GetDeadline(); d != nil {
			if err := d.CheckValid(); err != nil {
				return fmt.Errorf("its deadline is not a time: %w", err)
			}
		}
	case *messages.StepReply_Retry:
		result.Retry.Reason = sanitize(result.Retry.GetReason(), maxReasonBytes)
		if after := result.Retry.GetAfter(); after != nil {
			if err := after.CheckValid(); err != nil {
				return fmt.Errorf("its delay is not a duration: %w", err)
			}
			after.Seconds, after.Nanos = clampDelay(after.AsDuration())
		}
	default:
		return errNoResult
	}
	return nil
}

func clampDelay(d time.Duration) (seconds int64, nanos int32) {
	d = min(max(d, 0), maxDelay)
	return int64(d / time.Second), int32(d % time.Second)
}

// checkValue refuses values that protobuf can carry and JSON cannot: such data would spoil every later request.
func checkValue(v *structpb.Value, depth int) error {
	if v == nil {
		return nil
	}
	if depth == 0 {
		return fmt.Errorf("its data nest deeper than %d levels", maxDepth)
	}
	switch kind := v.GetKind().(type) {
	case nil:
		return errors.New("its data hold a value of no kind")
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			return errors.New("its data hold a number that is not finite")
		}
	case *structpb.Value_StructValue:
		for _, field := range kind.StructValue.GetFields() {
			if err := checkValue(field, depth-1); err != nil {
				return err
			}
		}
	case *structpb.Value_ListValue:
		for _, element := range kind.ListValue.GetValues() {
			if err := checkValue(element, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}
