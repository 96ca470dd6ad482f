package api

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// cancel publishes a cancel, or tells what it would do.
func (a *API) cancel(w http.ResponseWriter, r *http.Request) *problem {
	said := r.URL.Query().Get("dry_run")
	dry, err := strconv.ParseBool(cmp.Or(said, "false"))
	if err != nil {
		return refusal(http.StatusBadRequest, fmt.Sprintf("dry_run is %.40q: want true or false", said))
	}
	if dry {
		return a.previewCancel(w, r)
	}
	return a.act(w, r, func(contentType string, content []byte) (proto.Message, *problem) {
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
	return a.act(w, r, func(contentType string, content []byte) (proto.Message, *problem) {
		return decoded(messages.DecodeRetry(contentType, content))
	})
}

func (a *API) skip(w http.ResponseWriter, r *http.Request) *problem {
	return a.act(w, r, func(contentType string, content []byte) (proto.Message, *problem) {
		return decoded(messages.DecodeSkip(contentType, content))
	})
}

// signal takes the signal's name from the path; the body is its data, any JSON value.
func (a *API) signal(w http.ResponseWriter, r *http.Request) *problem {
	name := r.PathValue("name")
	if len(name) > messages.MaxName || !utf8.ValidString(name) {
		return refusal(http.StatusBadRequest, fmt.Sprintf("the name of a signal: want at most %d bytes of UTF-8", messages.MaxName))
	}
	return a.act(w, r, func(contentType string, content []byte) (proto.Message, *problem) {
		data, p := signalData(contentType, content)
		return &messages.SignalOrder{Name: name, Data: data}, p
	})
}

// act publishes a message about an order that exists.
func (a *API) act(w http.ResponseWriter, r *http.Request, decode func(contentType string, content []byte) (proto.Message, *problem)) *problem {
	id, p := pathID(r)
	if p != nil {
		return p
	}
	contentType, content, p := body(r)
	if p != nil {
		return p
	}
	message, p := decode(contentType, content)
	if p != nil {
		return p
	}
	if _, p := a.find(r.Context(), id); p != nil {
		return p
	}
	if p := a.publish(r.Context(), id, message); p != nil {
		return p
	}
	w.Header().Set("Location", location(id))
	answer(w, http.StatusAccepted, stored{id, "stored"})
	return nil
}

func decoded[M proto.Message](message M, err error) (proto.Message, *problem) {
	if err != nil {
		return nil, undecodable(err)
	}
	return message, nil
}
