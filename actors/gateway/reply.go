package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxDelay bounds the delay that a service may ask for; the step's retry policy may bound it further.
	maxDelay = 24 * time.Hour
	// maxNameBytes bounds codes and signal names.
	maxNameBytes = 128
	// maxQuoteBytes bounds what an error quotes of an answer.
	maxQuoteBytes = 100
)

// statusOther is the status of an answer whose error code is not an HTTP status.
const statusOther = -1

// response is a service's answer over HTTP or NATS.
type response struct {
	// status is the HTTP status or Nats-Service-Error-Code, 0 if none was sent, or statusOther.
	status int
	// code is the error code of statusOther.
	code                    string
	contentType, retryAfter string
	// location is where a redirect points to, without query and credentials.
	location string
	// reason is the error text of the transport.
	reason string
	body   []byte
	// larger: the body has more than limit bytes, and body is its beginning.
	larger bool
	limit  int
	// cut is why the rest of the body did not arrive, or nil.
	cut error
	// unread is why the plan's reading of the body failed, or nil.
	unread error
}

// read turns an answer into a reply or a failure:
//
//  1. A StepReply in the body counts, whatever the status.
//  2. The acknowledgement of a stream is not the service's answer: Setup.
//  3. The plan's reading of a JSON body counts, if one of its conditions is true.
//  4. Otherwise the status decides: an empty 2xx is done, or pending if it is 202. Any other 2xx, and an answer without a
//     status, is Unreadable. For the rest see ruleOf.
func (p *pendingCall) read(a *response) (*messages.StepReply, error) {
	if a.status == http.StatusUnauthorized {
		p.target.entry.CredentialsRefused()
	}
	r, problem := a.stepReply(p.call.Step.GetEncoding())
	if problem == nil {
		if problem = p.accept(a, r); problem == nil {
			return r, nil
		}
		if r.GetDone() != nil {
			return nil, p.doneWithoutData(problem)
		}
	}
	if err := p.streamAck(a); err != nil {
		return nil, err
	}
	if expressions, field := p.call.reading(); expressions != nil && a.whole() && json.Valid(a.json()) {
		r, err := p.readForeign(a)
		switch {
		case err != nil:
			problem, a.unread = err, err
		case r == nil:
			problem = fmt.Errorf("no condition of %s is true for it", field)
		default:
			if problem = p.accept(a, r); problem == nil {
				return r, nil
			}
			return nil, p.doneWithoutData(problem)
		}
	}
	return p.readStatus(a, problem)
}

// accept makes r valid for the journal, or says why it cannot be.
func (p *pendingCall) accept(a *response, r *messages.StepReply) error {
	if a.larger && r.GetDone() != nil {
		return fmt.Errorf("the answer has more than %d bytes", a.limit)
	}
	if retry := r.GetRetry(); retry != nil {
		if after := parseRetryAfter(a.retryAfter, time.Now()); after > retry.GetAfter().AsDuration() {
			retry.After = durationpb.New(after)
		}
	}
	return normalizeReply(r, p.call)
}

func (p *pendingCall) doneWithoutData(problem error) error {
	f := p.fail(messages.Unreadable, true, "the step is done, but its data cannot be kept: %w", problem)
	f.Done = true
	return f
}

// readStatus decides by the status alone. problem says why the body is not a StepReply.
func (p *pendingCall) readStatus(a *response, problem error) (*messages.StepReply, error) {
	if s := a.status; s == 0 || s >= 200 && s <= 299 {
		if s == 0 || s == http.StatusPartialContent || s == http.StatusIMUsed || !a.whole() || len(a.body) > 0 {
			return nil, p.fail(messages.Unreadable, true, "%s, and the answer is not a StepReply: %w%s", a.answered(), problem, a.quote())
		}
		if s == http.StatusAccepted {
			return p.pending(a), nil
		}
		return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{}}}, nil
	}
	rule := ruleOf(a.status, p.target.entry.Rejects)
	text := a.explain(rule.advice)
	if a.unread != nil {
		text += "; " + a.unread.Error()
	}
	f := p.fail(rule.kind, rule.inDoubt, "%s: %s", a.answered(), text)
	switch rule.kind {
	case messages.Rejected:
		// The text becomes the reason of the rejection: it is the service's own.
		f = fail(rule.kind, rule.inDoubt, "%s", a.errorText())
	case messages.Transient:
		f.RetryAfter = parseRetryAfter(a.retryAfter, time.Now())
	}
	if f.Code = strconv.Itoa(a.status); a.status == statusOther {
		f.Code = sanitize(a.code, maxNameBytes)
	}
	return nil, f
}

// statusRule is what a status means if the body says nothing.
type statusRule struct {
	kind messages.FailureKind
	// inDoubt: the step may have been performed.
	inDoubt bool
	// advice is what to do about it.
	advice string
}

const (
	adviceRedirect    = "redirects are not followed: name the final URL in the plan or in the downstreams file"
	adviceTarget      = "check the target in the plan and in the downstreams file"
	adviceCredentials = "check the credentials of this downstream"
	adviceSize        = "the service must accept larger requests"
)

// statusRules are the statuses that differ from their class.
var statusRules = map[int]statusRule{
	// 303 points to the result of a request that was performed.
	303: {messages.Setup, true, adviceRedirect},
	304: {messages.Setup, false, adviceTarget},
	401: {messages.Setup, false, adviceCredentials},
	403: {messages.Setup, false, adviceCredentials},
	404: {messages.Setup, false, adviceTarget},
	405: {messages.Setup, false, adviceTarget},
	407: {messages.Setup, false, "check the credentials of the proxy"},
	408: {messages.Transient, true, ""},
	409: {messages.Transient, true, ""},
	413: {messages.Setup, false, adviceSize},
	415: {messages.Setup, false, "check the encoding of the step"},
	421: {messages.Setup, false, adviceTarget},
	425: {messages.Transient, false, ""},
	429: {messages.Transient, false, ""},
	431: {messages.Setup, false, adviceSize},
}

// ruleOf returns the rule of a status that is not 2xx. rejects are the statuses that mean a business no.
func ruleOf(status int, rejects []int) statusRule {
	if slices.Contains(rejects, status) {
		return statusRule{kind: messages.Rejected}
	}
	if rule, ok := statusRules[status]; ok {
		return rule
	}
	switch status / 100 {
	case 3:
		return statusRule{messages.Setup, false, adviceRedirect}
	case 4:
		return statusRule{messages.Setup, false, "check the plan and the downstreams file"}
	}
	return statusRule{messages.Transient, true, ""}
}

// pending is the reply of an empty 202.
func (p *pendingCall) pending(a *response) *messages.StepReply {
	waiting := &messages.StepWaiting{Signal: p.call.signal()}
	now := time.Now()
	if after := parseRetryAfter(a.retryAfter, now); after > 0 {
		waiting.Deadline = timestamppb.New(p.set.cfg.ServerTime(now.Add(after)))
	}
	return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: waiting}}
}

// whole reports whether all of the body is there.
func (a *response) whole() bool { return !a.larger && a.cut == nil }

// answered says how the service answered.
func (a *response) answered() string {
	switch a.status {
	case 0:
		return "answered"
	case statusOther:
		if a.code == "" {
			return "answered with an error"
		}
		return fmt.Sprintf("answered with error code %q", sanitize(a.code, maxNameBytes))
	}
	return fmt.Sprintf("answered %d", a.status)
}

// quote returns the beginning of the body, as the end of an error.
func (a *response) quote() string {
	text := sanitize(string(a.body[:min(len(a.body), 4*maxQuoteBytes)]), maxQuoteBytes)
	if text == "" {
		return ""
	}
	return fmt.Sprintf("; it begins with %q", text)
}

// explain is the text of a failure by status.
func (a *response) explain(advice string) string {
	if a.location != "" {
		return "Location " + a.location + ": " + advice
	}
	if advice == "" {
		return a.errorText()
	}
	return a.errorText() + ": " + advice
}

// errorText returns the reason for an error: from the transport, a problem document, plain text, or the name of the status.
func (a *response) errorText() string {
	if w := sanitize(a.reason, maxReasonBytes); w != "" {
		return w
	}
	// Text as it came: anything else than a string, however much, is not decoded.
	var problem struct{ Detail, Title, Message, Error, Reason json.RawMessage }
	if len(a.body) > 0 && a.body[0] == '{' {
		if json.Unmarshal(a.body, &problem) == nil {
			for _, field := range []json.RawMessage{problem.Detail, problem.Reason, problem.Message, problem.Error, problem.Title} {
				var s string
				if len(field) > 0 && field[0] == '"' && json.Unmarshal(field, &s) == nil && sanitize(s, maxReasonBytes) != "" {
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

// normalizeReply makes a reply valid for the journal and for later requests: it bounds texts and delays and fills in the
// signal. The error says why the data cannot be stored.
func normalizeReply(r *messages.StepReply, c *Call) error {
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
			result.Pending.Signal = c.signal()
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
