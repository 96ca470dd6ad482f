package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// Lookup asks the leaders of the streams what is stored. Its answers are never those of a replica left behind.
type Lookup struct {
	nc  *nats.Conn
	api string
}

// NewLookup asks through the connection and the API prefix of js.
func NewLookup(js jetstream.JetStream) *Lookup {
	return &Lookup{nc: js.Conn(), api: apiPrefix(js)}
}

// apiPrefix is what the subjects of the JetStream API begin with.
func apiPrefix(js jetstream.JetStream) string {
	options := js.Options()
	switch {
	case options.APIPrefix != "":
		return options.APIPrefix + "."
	case options.Domain != "":
		return "$JS." + options.Domain + ".API."
	}
	return "$JS.API."
}

// FirstStored finds the first message about the order that the inbox stores at or after sequence from. It may be settled.
// Its type is empty when the headers cannot be read.
func (l *Lookup) FirstStored(ctx context.Context, id messages.OrderID, from uint64) (stored messages.StoredMessage, found bool, err error) {
	m, err := l.get(ctx, messages.StreamOrders, messageRequest{Seq: max(from, 1), NextFor: messages.SubjectOrder + string(id)})
	if err != nil || m == nil {
		return messages.StoredMessage{}, false, err
	}
	return messages.StoredMessage{Sequence: m.Seq, Type: m.kind()}, true, nil
}

// Stored reports whether a stream still stores the message with that sequence.
func (l *Lookup) Stored(ctx context.Context, stream string, seq uint64) (bool, error) {
	m, err := l.get(ctx, stream, messageRequest{Seq: seq})
	return m != nil, err
}

type messageRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// rawMsg is a message as it lies in a stream: header block and body as they were published.
type rawMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// kind is the type of a message about an order; empty when the headers cannot be read.
func (m *rawMsg) kind() messages.Type {
	if len(m.Header) == 0 {
		return messages.TypeCreated
	}
	h, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		return ""
	}
	return typeOfHeader(first(h, messages.HeaderType))
}

// park is the park that a timer belongs to, 0 if it does not say.
func (m *rawMsg) park() uint64 {
	h, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		return 0
	}
	park, err := strconv.ParseUint(first(h, messages.HeaderPark), 10, 64)
	if err != nil {
		return 0
	}
	return park
}

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

const codeMessageNotFound = 10037

// get returns the message asked for, or nil when it is not stored.
func (l *Lookup) get(ctx context.Context, stream string, want messageRequest) (*rawMsg, error) {
	body, err := json.Marshal(want)
	if err != nil {
		return nil, fmt.Errorf("ask stream %s for a message: %w", stream, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := l.nc.RequestWithContext(ctx, l.api+"STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, fmt.Errorf("ask stream %s for a message: %w", stream, err)
	}
	var answer struct {
		Error   *apiError `json:"error"`
		Message *rawMsg   `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("ask stream %s for a message: %w", stream, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrCode == codeMessageNotFound:
		return nil, nil
	case answer.Error != nil:
		return nil, fmt.Errorf("ask stream %s for a message: %s", stream, answer.Error.Description)
	case answer.Message == nil:
		return nil, fmt.Errorf("ask stream %s for a message: the answer holds none", stream)
	}
	return answer.Message, nil
}

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second
