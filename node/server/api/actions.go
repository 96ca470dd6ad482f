package api

import (
	"fmt"
	"net/http"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

// cancel publishes a cancel, or tells what it would do.
func (a *API) cancel(w http.ResponseWriter, r *http.Request) *problem {
	dry, p := dryRun(r)
	if p != nil {
		return p
	}
	if dry {
		return a.previewCancel(w, r)
	}
	return act(a, w, r, func(contentType string, content []byte) (*messages.CancelOrder, *problem) {
		return decoded(messages.DecodeCancel(contentType, content))
	})
}

// previewCancel publishes nothing and tells what a cancel would do now.
func (a *API) previewCancel(w http.ResponseWriter, r *http.Request) *problem {
	id, p := pathID(r)
	if p != nil {
		return p
	}
	view, p := a.find(r.Context(), id)
	if p != nil {
		return p
	}
	answer(w, http.StatusOK, view.PreviewCancel())
	return nil
}

func (a *API) retry(w http.ResponseWriter, r *http.Request) *problem {
	return act(a, w, r, func(contentType string, content []byte) (*messages.RetryOrder, *problem) {
		return decoded(messages.DecodeRetry(contentType, content))
	})
}

// signal takes the signal's name from the path; the body is its data, any JSON value.
func (a *API) signal(w http.ResponseWriter, r *http.Request) *problem {
	name := r.PathValue("name")
	if len(name) > messages.MaxName || !utf8.ValidString(name) {
		return refusal(http.StatusBadRequest, fmt.Sprintf("the name of a signal: want at most %d bytes of UTF-8", messages.MaxName))
	}
	return act(a, w, r, func(contentType string, content []byte) (*messages.SignalOrder, *problem) {
		data, p := signalData(contentType, content)
		if p != nil {
			return nil, p
		}
		return fit(&messages.SignalOrder{Name: name, Data: data})
	})
}

// fit refuses a signal that no node would take.
func fit(signal *messages.SignalOrder) (*messages.SignalOrder, *problem) {
	switch err := ingress.CheckSignal(signal); {
	case err == nil:
		return signal, nil
	case proto.Size(signal) > messages.MaxBody:
		return nil, refusal(http.StatusRequestEntityTooLarge, err.Error())
	default:
		return nil, undecodable(err)
	}
}

// act publishes a message about an order that exists.
func act[M proto.Message](a *API, w http.ResponseWriter, r *http.Request, decode decoder[M]) *problem {
	id, message, p := asked(r, decode)
	if p != nil {
		return p
	}
	if _, p := a.find(r.Context(), id); p != nil {
		return p
	}
	return a.store(w, r, id, message)
}

// decoder reads a message from a body.
type decoder[M proto.Message] func(contentType string, content []byte) (M, *problem)

// asked reads which order a request is about and what it asks for.
func asked[M proto.Message](r *http.Request, decode decoder[M]) (id messages.OrderID, message M, p *problem) {
	if id, p = pathID(r); p != nil {
		return id, message, p
	}
	contentType, content, p := body(r)
	if p != nil {
		return id, message, p
	}
	message, p = decode(contentType, content)
	return id, message, p
}

// store publishes a message and answers that it is stored.
func (a *API) store(w http.ResponseWriter, r *http.Request, id messages.OrderID, message proto.Message) *problem {
	if p := a.publish(r.Context(), id, message); p != nil {
		return p
	}
	w.Header().Set("Location", location(id))
	answer(w, http.StatusAccepted, stored{id, "stored"})
	return nil
}

func decoded[M proto.Message](message M, err error) (M, *problem) {
	if err != nil {
		return message, undecodable(err)
	}
	return message, nil
}
