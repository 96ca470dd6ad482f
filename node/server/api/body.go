package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// bodyChunk is how much a body has to bring within Config.BodyTimeout, and how large a body may be without a slot, in bytes.
const bodyChunk = 16 << 10

// receiveBody replaces the body, which may come slowly, by its content. A compressed body is refused. The caller calls release when
// the content is no longer needed, also after a problem.
func (a *API) receiveBody(w http.ResponseWriter, r *http.Request) (release func(), p *problem) {
	release = func() {}
	if p := checkEncoding(r); p != nil {
		return release, p
	}
	control := http.NewResponseController(w)
	limited := http.MaxBytesReader(w, r.Body, messages.MaxBody)
	var content bytes.Buffer
	for {
		// An error means that there is no connection.
		_ = control.SetReadDeadline(time.Now().Add(a.cfg.BodyTimeout))
		_, err := io.CopyN(&content, limited, bodyChunk)
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			r.Body = io.NopCloser(&content)
			// The time of the body is not the response's.
			_ = control.SetWriteDeadline(time.Now().Add(a.server.WriteTimeout))
			return release, nil
		case errors.As(err, &large):
			return release, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit))
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.Header().Set("Connection", "close")
			return release, a.refuse(r.Context(), refusedSlowBody, newProblem(http.StatusRequestTimeout,
				fmt.Sprintf("the body is too slow: %d bytes, or its end, did not come within %s", bodyChunk, a.cfg.BodyTimeout)))
		case err != nil:
			return release, newProblem(http.StatusBadRequest, "the body is incomplete: send it again")
		}
		if content.Len() > bodyChunk {
			continue
		}
		client := clientOf(r.RemoteAddr)
		if p := a.take(r.Context(), a.largeBodies, client, "large bodies"); p != nil {
			return release, p
		}
		release = func() { a.largeBodies.release(client) }
		content.Grow(messages.MaxBody)
	}
}

// body returns the body and its content type: JSON or protobuf by the header, else by the content, so that `curl -d '{…}'`,
// which declares a form, works. Another charset than UTF-8 is refused.
func body(r *http.Request) (contentType string, content []byte, p *problem) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err) // receiveBody has read it
	}
	declared := r.Header.Get("Content-Type")
	if declared == "" {
		return "", content, nil
	}
	kind, params, err := mime.ParseMediaType(declared)
	if charset := params["charset"]; len(content) > 0 && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", nil, newProblem(http.StatusUnsupportedMediaType, fmt.Sprintf("charset %.100q: want utf-8", charset))
	}
	switch {
	case err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json"):
		return "application/json", content, nil
	case err == nil && (kind == "application/protobuf" || kind == "application/x-protobuf" || kind == "application/vnd.google.protobuf"):
		return "application/protobuf", content, nil
	case len(content) == 0 || strings.HasPrefix(strings.TrimLeft(string(content[:min(len(content), 64)]), " \t\r\n"), "{"):
		return "", content, nil
	}
	return "", nil, newProblem(http.StatusUnsupportedMediaType, fmt.Sprintf("content type %.100q: want application/json or application/protobuf", declared))
}

// checkEncoding refuses a body with a content encoding.
func checkEncoding(r *http.Request) *problem {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return newProblem(http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %.100q: send the body without an encoding", coding))
		}
	}
	return nil
}

// decodeProblem is the problem of a body that a decoder refused.
func decodeProblem(err error) *problem { return newProblem(http.StatusBadRequest, err.Error()) }

// signalData decodes any JSON value; an empty body means no data.
func signalData(contentType string, content []byte) (string, *problem) {
	if contentType == "application/protobuf" {
		return "", newProblem(http.StatusUnsupportedMediaType, "the data of a signal is JSON: want application/json")
	}
	data, err := messages.NormalizeJSON(string(content))
	if err != nil {
		return "", newProblem(http.StatusBadRequest, "the data of the signal "+err.Error())
	}
	return data, nil
}

// pathID is the order id in the path.
func pathID(r *http.Request) (messages.OrderID, *problem) {
	id, err := messages.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return "", newProblem(http.StatusBadRequest, err.Error())
	}
	return id, nil
}
