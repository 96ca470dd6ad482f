package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// maxSkip bounds the body of a skip, in bytes.
const maxSkip = 512

// skip publishes a skip of the call that needs attention now; it has no effect if another call does when it arrives.
func (a *API) skip(w http.ResponseWriter, r *http.Request) *problem {
	id, skip, p := readRequest(r, decodeSkip)
	if p != nil {
		return p
	}
	view, p := a.findOrder(r.Context(), id)
	if p != nil {
		return p
	}
	if p := resolveStep(skip, view); p != nil {
		return p
	}
	return a.publishAndAccept(w, r, id, skip)
}

// resolveStep checks that the skip names the call that needs attention now, and fills it in if the skip names none. If the
// order needs no attention now the skip stays as it is: the order may need it when the skip arrives.
func resolveStep(skip *messages.SkipStep, view *timeline.View) *problem {
	step, direction, needed := view.NeedsAttention()
	switch {
	case !needed:
		return nil
	case skip.GetStep() == "" && skip.GetDirection() == "":
		skip.Step, skip.Direction = step, direction
		return nil
	case (skip.GetStep() == "" || skip.GetStep() == step) && (skip.GetDirection() == "" || skip.GetDirection() == direction):
		return nil
	}
	return newProblem(http.StatusConflict, fmt.Sprintf("order %s needs attention for %s, but the skip names %s: read the order again and name that step",
		view.OrderID, describeCall(step, direction), describeCall(skip.GetStep(), skip.GetDirection())))
}

// describeCall names the call of a step.
func describeCall(step, direction string) string {
	switch {
	case step == "" && direction == "":
		return "no step"
	case step == "":
		return "a step in the direction " + direction
	case direction == messages.Undo.Label():
		return fmt.Sprintf("the undo of step %q", step)
	}
	return fmt.Sprintf("step %q", step)
}

// decodeSkip decodes {"step": …, "undo": …} or a SkipStep in protobuf. An empty body means the call that needs attention.
func decodeSkip(contentType string, content []byte) (*messages.SkipStep, *problem) {
	text := bytes.TrimLeft(content, " \t\r\n")
	switch {
	case len(content) > maxSkip:
		return nil, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxSkip))
	case len(text) == 0:
		return &messages.SkipStep{}, nil
	case contentType == "application/json", contentType == "" && text[0] == '{':
		return decodeSkipJSON(text)
	}
	return orProblem(messages.DecodeSkip(contentType, content))
}

func decodeSkipJSON(text []byte) (*messages.SkipStep, *problem) {
	var body *struct {
		Step *string `json:"step"`
		Undo *bool   `json:"undo"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&body)
	if err == nil && body == nil {
		err = errors.New("it is null")
	}
	if _, end := d.Token(); err == nil && !errors.Is(end, io.EOF) {
		err = errors.New("something follows the object")
	}
	switch {
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, fmt.Sprintf(`the body is not a skip (%v): want an empty body or {"step": "name", "undo": false}`, err))
	case body.Step == nil && body.Undo != nil:
		return nil, newProblem(http.StatusBadRequest, "undo without step: name the step")
	case body.Step == nil:
		return &messages.SkipStep{}, nil
	case *body.Step == "":
		return nil, newProblem(http.StatusBadRequest, "step is empty: name the step, or leave it out")
	}
	direction := messages.Do
	if body.Undo != nil && *body.Undo {
		direction = messages.Undo
	}
	return &messages.SkipStep{Step: *body.Step, Direction: direction.Label()}, nil
}
