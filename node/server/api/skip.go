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

// skip publishes a skip that names what needs attention, so that it passes over nothing else if the order has gone on
// by the time it arrives.
func (a *API) skip(w http.ResponseWriter, r *http.Request) *problem {
	id, skip, p := asked(r, skipOf)
	if p != nil {
		return p
	}
	view, p := a.find(r.Context(), id)
	if p != nil {
		return p
	}
	if p := aim(skip, view); p != nil {
		return p
	}
	return a.store(w, r, id, skip)
}

// aim holds a skip to what needs attention now, and fills that in if the skip names nothing. What it names is left to
// the order that is not in attention now: it may be when the skip arrives.
func aim(skip *messages.SkipStep, view *timeline.View) *problem {
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
	return refusal(http.StatusConflict, fmt.Sprintf("order %s needs attention for %s, and the skip is of %s: look at the order again, then name what you mean",
		view.OrderID, callOf(step, direction), callOf(skip.GetStep(), skip.GetDirection())))
}

// callOf names the call of a step, or what is known of it.
func callOf(step, direction string) string {
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

// skipOf reads which step is meant: {"step": …, "undo": …}, or a SkipStep in protobuf. Nothing means whichever needs
// attention.
func skipOf(contentType string, content []byte) (*messages.SkipStep, *problem) {
	text := bytes.TrimLeft(content, " \t\r\n")
	switch {
	case len(content) > maxSkip:
		return nil, refusal(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxSkip))
	case len(text) == 0:
		return &messages.SkipStep{}, nil
	case contentType == "application/json", contentType == "" && text[0] == '{':
		return skipOfJSON(text)
	}
	return decoded(messages.DecodeSkip(contentType, content))
}

func skipOfJSON(text []byte) (*messages.SkipStep, *problem) {
	var said *struct {
		Step *string `json:"step"`
		Undo *bool   `json:"undo"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&said)
	if err == nil && said == nil {
		err = errors.New("it is null")
	}
	if _, end := d.Token(); err == nil && !errors.Is(end, io.EOF) {
		err = errors.New("something follows the object")
	}
	switch {
	case err != nil:
		return nil, refusal(http.StatusBadRequest, fmt.Sprintf(`the body is no skip (%v): want nothing, or {"step": "name", "undo": false}`, err))
	case said.Step == nil && said.Undo != nil:
		return nil, refusal(http.StatusBadRequest, "undo is there without step: name the step that is meant")
	case said.Step == nil:
		return &messages.SkipStep{}, nil
	case *said.Step == "":
		return nil, refusal(http.StatusBadRequest, "step is empty: name the step that is meant, or leave it out")
	}
	direction := messages.Do
	if said.Undo != nil && *said.Undo {
		direction = messages.Undo
	}
	return &messages.SkipStep{Step: *said.Step, Direction: direction.Label()}, nil
}
