package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxDelay bounds the delay that a service may ask for; the step's retry policy may bound it further.
	maxDelay = 24 * time.Hour
	// maxNameBytes bounds codes and signal names.
	maxNameBytes = 128
)

var errNoResult = errors.New("it has no result: want one of done, rejected, pending, retry")

// response is a service's response over any transport.
type response struct {
	// status is the HTTP status or Nats-Service-Error-Code; 0 if none was sent and the body alone decides.
	status                  int
	contentType, retryAfter string
	// reason is the error text of the transport.
	reason string
	body   []byte
}

// reply turns a response into a reply, as the package documentation says. The error is a Transient failure.
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

// isRejection reports whether a status means that the service rejects the step.
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
		err = messages.UnmarshalForeignJSON(a.body, r)
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

// readSuccess reads a response with a 2xx status.
func (a *response) readSuccess(step *messages.Step, now time.Time) (*messages.StepReply, error) {
	var data string
	if len(a.body) > 0 {
		r, err := a.decode(step)
		if err == nil || !isJSON(a.contentType, a.body, step.GetEncoding()) {
			return r, err
		}
		data = string(a.body)
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(a.body, &fields)
		for _, name := range [...]string{"done", "rejected", "pending", "retry"} {
			if _, isReply := fields[name]; isReply {
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
	text := a.errorText()
	if r, err := a.decode(step); err == nil && r.GetRetry() != nil && normalizeReply(r, step) == nil {
		if reason := r.GetRetry().GetReason(); reason != "" {
			text = reason
		}
		after = max(after, r.GetRetry().GetAfter().AsDuration())
	}
	if a.status >= 300 && a.status <= 399 {
		text = "redirects are not followed: name the final URL in the plan"
	}
	return transientAfter(after, "answered %d: %s", a.status, text)
}

// errorText returns the reason for an error: from the transport, a problem document, plain text, or the name of the status.
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

// parseRetryAfter reads a Retry-After header, in seconds or as an HTTP date; 0 if it is absent or invalid.
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

// normalizeReply makes a reply valid for the journal and for later requests: it bounds texts and delays and fills in the
// signal. The error says why the data cannot be stored.
func normalizeReply(r *messages.StepReply, step *messages.Step) error {
	switch result := r.GetResult().(type) {
	case *messages.StepReply_Done:
		if result.Done == nil {
			result.Done = &messages.StepDone{}
		}
		data, err := messages.NormalizeJSON(result.Done.GetData())
		if err != nil {
			return fmt.Errorf("its data %w", err)
		}
		result.Done.Data = data
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
