package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/servicecheck"
	"github.com/orderly-engine/orderly/node/timeline"
)

// planCall is one run of plan check --call.
type planCall struct {
	serviceCalls
	// step is the name of the step, results the path of a file with the data of the steps before it.
	step, results string
	undo          bool
}

// run calls the step of a valid plan and prints what was sent, what came and what it means.
func (c *planCall) run(ctx context.Context, p *messages.Plan, d *directory.Directory, output format) error {
	step, err := c.find(p)
	if err != nil {
		return usage(err)
	}
	order, err := c.readOrder()
	if err != nil {
		return err
	}
	if order == nil {
		order = servicecheck.SampleOrder()
	}
	if order.GetOrderId() == "" {
		order.OrderId = string(servicecheck.NewOrderID())
	} else if _, err := messages.ParseOrderID(order.GetOrderId()); err != nil {
		return fmt.Errorf("%s: %w", c.order, err)
	}
	results, err := readResults(c.results)
	if err != nil {
		return err
	}
	direction, target := messages.Do, step.GetDo()
	if c.undo {
		direction, target = messages.Undo, step.GetUndo()
	}
	if err := c.confirm(fmt.Sprintf("%s of order %s is called for real at %s", step.GetName(), order.GetOrderId(), plan.DisplayTarget(target))); err != nil {
		return err
	}
	return c.withCaller(ctx, d, []string{target}, func(caller *servicecheck.Caller) error {
		x := caller.Call(ctx, servicecheck.NewCall(step, direction, order, results))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := writeResult(c.t.out, output, newCallReport(&x)); err != nil {
			return err
		}
		if !x.Meaning.Understood {
			return errSilent
		}
		return nil
	})
}

// find returns the step to call.
func (c *planCall) find(p *messages.Plan) (*messages.Step, error) {
	var names []string
	for _, s := range p.GetSteps() {
		if s.GetName() == c.step {
			if c.undo && s.GetUndo() == "" {
				return nil, fmt.Errorf("step %s has no undo", c.step)
			}
			return s, nil
		}
		names = append(names, s.GetName())
	}
	return nil, fmt.Errorf("the plan has no step %.80q: want one of %s", c.step, strings.Join(names, ", "))
}

// readResults reads the data of earlier steps by name, a JSON object; nil without a file.
func readResults(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, messages.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if len(text) > messages.MaxBody {
		return nil, fmt.Errorf("%s has more than %d bytes", path, messages.MaxBody)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: want a JSON object with the data of each step by its name: %w", path, err)
	}
	results := make(map[string]string, len(raw))
	for name, data := range raw {
		if results[name], err = messages.NormalizeJSON(string(data)); err != nil {
			return nil, fmt.Errorf("%s: data of %s: %w", path, name, err)
		}
	}
	return results, nil
}

// callReport is the JSON form of a call.
type callReport struct {
	Target string       `json:"target"`
	Sent   *callMessage `json:"sent,omitempty"`
	// Status is that of HTTP or NATS.
	Status int          `json:"status,omitempty"`
	Answer *callMessage `json:"answer,omitempty"`
	TookMS int64        `json:"took_ms"`
	// Error is why the call failed.
	Error      string `json:"error,omitempty"`
	Outcome    string `json:"outcome"`
	Effect     string `json:"effect"`
	Understood bool   `json:"understood"`

	exchange *servicecheck.Exchange
}

// callMessage is a request or an answer; secrets are hidden, and a long body is cut.
type callMessage struct {
	Headers []string `json:"headers"`
	Body    string   `json:"body"`
}

func newCallReport(x *servicecheck.Exchange) *callReport {
	r := &callReport{
		Target: plan.DisplayTarget(x.Target), Sent: newCallMessage(x.Sent), Status: x.Status, Answer: newCallMessage(x.Answer),
		TookMS: x.Took.Milliseconds(), Outcome: x.Meaning.Outcome, Effect: x.Meaning.Effect, Understood: x.Meaning.Understood, exchange: x,
	}
	if x.Err != nil {
		r.Error = x.Err.Error()
	}
	return r
}

func newCallMessage(m *servicecheck.Message) *callMessage {
	if m == nil {
		return nil
	}
	return &callMessage{Headers: m.Headers(), Body: m.Text()}
}

// WriteText writes the call as a conversation.
func (r *callReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "→ %s\n", r.Target)
	r.Sent.writeText(&b)
	came := "no answer"
	if r.Answer != nil {
		came = strings.TrimSpace("answer " + r.exchange.StatusText())
	}
	fmt.Fprintf(&b, "← %s after %s\n", came, r.exchange.Took.Round(100*time.Microsecond))
	r.Answer.writeText(&b)
	if r.Error != "" {
		fmt.Fprintf(&b, "error: %s\n", timeline.Printable(r.Error))
	}
	fmt.Fprintf(&b, "%s: %s\n", r.Outcome, r.Effect)
	_, err := io.WriteString(w, b.String())
	return err
}

func (m *callMessage) writeText(b *strings.Builder) {
	if m == nil {
		return
	}
	lines := slices.Clone(m.Headers)
	if m.Body != "" {
		lines = append(lines, strings.Split(m.Body, "\n")...)
	}
	for _, line := range lines {
		fmt.Fprintf(b, "  %s\n", timeline.Printable(line))
	}
}
