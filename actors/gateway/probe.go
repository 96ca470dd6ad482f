package gateway

import (
	"bytes"
	"io"
	"net/http"

	"github.com/nats-io/nats.go"
)

// Probe looks into the calls over NATS and HTTP, for a program that checks a service. Its functions are called from any goroutine;
// what they get is theirs until they return.
type Probe struct {
	// Sending gets a request before it is sent, and returns the body to send. The header may contain secrets.
	Sending func(c *Call, header map[string][]string, body []byte) []byte
	// Received gets the answer, before the end of the call. The status is that of HTTP; over NATS it is 0, and the header has it.
	// The body may be cut at one byte more than the largest reply.
	Received func(c *Call, status int, header map[string][]string, body []byte)
}

func (p *Probe) sendingHTTP(c *Call, request *http.Request, body []byte) {
	if p == nil {
		return
	}
	body = p.Sending(c, request.Header, body)
	request.ContentLength = int64(len(body))
	request.Body = io.NopCloser(bytes.NewReader(body))
}

func (p *Probe) sendingNATS(c *Call, header nats.Header, body []byte) []byte {
	if p == nil {
		return body
	}
	return p.Sending(c, header, body)
}

func (p *Probe) received(c *Call, status int, header map[string][]string, body []byte) {
	if p != nil {
		p.Received(c, status, header, body)
	}
}
