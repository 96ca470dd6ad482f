package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/orderly-engine/orderly/messages"
)

// body reads the body and finds its content type: JSON or protobuf by the header, else by the content, so that
// `curl -d '{…}'`, which declares a form, works. A compressed body or another charset than UTF-8 is refused.
func body(r *http.Request) (contentType string, content []byte, p *problem) {
	if p := checkEncoding(r); p != nil {
		return "", nil, p
	}
	content, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", nil, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit))
	case err != nil:
		return "", nil, newProblem(http.StatusBadRequest, "the body is incomplete: send it again")
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
