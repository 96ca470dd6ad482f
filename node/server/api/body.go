package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/messages"
)

// maxDepth bounds how deep the data of a signal may be nested.
const maxDepth = 100

// body reads the whole body and how to read it: JSON or protobuf by its content type, else what it looks like, so that
// `curl -d '{…}'`, which says it is a form, works. What is compressed, or said to be in another charset than UTF-8, is
// refused: read as if it were plain, it could mean something else.
func body(r *http.Request) (contentType string, content []byte, p *problem) {
	if p := plainCoding(r); p != nil {
		return "", nil, p
	}
	content, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", nil, refusal(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit))
	case err != nil:
		return "", nil, refusal(http.StatusBadRequest, "the body could not be read to its end: send it again")
	}
	said := r.Header.Get("Content-Type")
	if said == "" {
		return "", content, nil
	}
	kind, params, err := mime.ParseMediaType(said)
	if charset := params["charset"]; len(content) > 0 && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", nil, refusal(http.StatusUnsupportedMediaType, fmt.Sprintf("charset %.100q: want utf-8", charset))
	}
	switch {
	case err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json"):
		return "application/json", content, nil
	case err == nil && (kind == "application/protobuf" || kind == "application/x-protobuf" || kind == "application/vnd.google.protobuf"):
		return "application/protobuf", content, nil
	case len(content) == 0 || strings.HasPrefix(strings.TrimLeft(string(content[:min(len(content), 64)]), " \t\r\n"), "{"):
		return "", content, nil
	}
	return "", nil, refusal(http.StatusUnsupportedMediaType, fmt.Sprintf("content type %.100q: want application/json or application/protobuf", said))
}

// plainCoding refuses a body that says it is encoded.
func plainCoding(r *http.Request) *problem {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return refusal(http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %.100q: send the body as it is, without one", coding))
		}
	}
	return nil
}

// undecodable tells what a decoder had against a body.
func undecodable(err error) *problem { return refusal(http.StatusBadRequest, err.Error()) }

// signalData reads any JSON value; nothing is no data.
func signalData(contentType string, content []byte) (*structpb.Value, *problem) {
	if contentType == "application/protobuf" {
		return nil, refusal(http.StatusUnsupportedMediaType, "the data of a signal is JSON: want application/json")
	}
	if len(content) == 0 {
		return nil, nil
	}
	value := new(structpb.Value)
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(content, value); err != nil {
		return nil, refusal(http.StatusBadRequest, "the data of the signal is not JSON: "+strings.ReplaceAll(err.Error(), "\u00a0", " "))
	}
	return value, nil
}

// pathID is the order id in the path.
func pathID(r *http.Request) (messages.OrderID, *problem) {
	id, err := messages.ParseOrderID(r.PathValue("id"))
	if err != nil {
		return "", refusal(http.StatusBadRequest, err.Error())
	}
	return id, nil
}
