package api

import (
	"fmt"
	"net/http"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

// cancel publishes a cancel, or previews it.
func (a *API) cancel(w http.ResponseWriter, r *http.Request) *problem {
	dry, p := dryRun(r)
	if p != nil {
		return p
	}
	if dry {
		return a.previewCancel(w, r)
	}
	return act(a, w, r, func(contentType string, content []byte) (*messages.CancelOrder, *problem) {
		return orProblem(messages.DecodeCancel(contentType, content))
	})
}

// previewCancel answers what a cancel would do now, and publishes nothing.
func (a *API) previewCancel(w http.ResponseWriter, r *http.Request) *problem {
	id, p := pathID(r)
	if p != nil {
		return p
	}
	view, p := a.findOrder(r.Context(), id)
	if p != nil {
		return p
	}
	respond(w, http.StatusOK, view.PreviewCancel())
	return nil
}

func (a *API) retry(w http.ResponseWriter, r *http.Request) *problem {
	return act(a, w, r, func(contentType string, content []byte) (*messages.RetryOrder, *problem) {
		return orProblem(messages.DecodeRetry(contentType, content))
	})
}

// signal takes the signal's name from the path; the body is its data, any JSON value.
func (a *API) signal(w http.ResponseWriter, r *http.Request) *problem {
	name := r.PathValue("name")
	if len(name) > messages.MaxName || !utf8.ValidString(name) {
		return newProblem(http.StatusBadRequest, fmt.Sprintf("the name of the signal is too long or not UTF-8: want at most %d bytes of UTF-8", messages.MaxName))
	}
	return act(a, w, r, func(contentType string, content []byte) (*messages.SignalOrder, *problem) {
		data, p := signalData(contentType, content)
		if p != nil {
			return nil, p
		}
		return checkSignal(&messages.SignalOrder{Name: name, Data: data})
	})
}

// checkSignal refuses a signal that every node would refuse.
func checkSignal(signal *messages.SignalOrder) (*messages.SignalOrder, *problem) {
	switch err := ingress.CheckSignal(signal); {
	case err == nil:
		return signal, nil
	case proto.Size(signal) > messages.MaxBody:
		return nil, newProblem(http.StatusRequestEntityTooLarge, err.Error())
	default:
		return nil, decodeProblem(err)
	}
}

// act publishes a message about an order that exists.
func act[M proto.Message](a *API, w http.ResponseWriter, r *http.Request, decode decoder[M]) *problem {
	id, message, p := readRequest(r, decode)
	if p != nil {
		return p
	}
	if _, p := a.findOrder(r.Context(), id); p != nil {
		return p
	}
	return a.publishAndAccept(w, r, id, message)
}

// decoder reads a message from a body.
type decoder[M proto.Message] func(contentType string, content []byte) (M, *problem)

// readRequest reads the order id and the message of a request.
func readRequest[M proto.Message](r *http.Request, decode decoder[M]) (id messages.OrderID, message M, p *problem) {
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

// publishAndAccept publishes a message and answers 202.
func (a *API) publishAndAccept(w http.ResponseWriter, r *http.Request, id messages.OrderID, message proto.Message) *problem {
	if p := a.publish(r.Context(), id, message); p != nil {
		return p
	}
	w.Header().Set("Location", location(id))
	respond(w, http.StatusAccepted, receipt{id, "stored"})
	return nil
}

func orProblem[M proto.Message](message M, err error) (M, *problem) {
	if err != nil {
		return message, decodeProblem(err)
	}
	return message, nil
}
