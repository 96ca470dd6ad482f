package natsclient

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// batchAck is a stream's reply to a message, or to the last message of an atomic batch.
type batchAck struct {
	jetstream.PubAck
	Batch string              `json:"batch"`
	Count int                 `json:"count"`
	Error *jetstream.APIError `json:"error"`
}

// ParseAck reads a stream's reply to a message. The error wraps a *jetstream.APIError if the stream refused the message;
// after any other error the message may be stored.
func ParseAck(m *nats.Msg) (jetstream.PubAck, error) {
	if stream, sequence, ok := plainAck(m.Data); ok {
		return jetstream.PubAck{Stream: stream, Sequence: sequence}, nil
	}
	ack, err := parseAck(m)
	return ack.PubAck, err
}

func parseAck(m *nats.Msg) (ack batchAck, err error) {
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil:
		return batchAck{}, fmt.Errorf("unreadable publish ack %.80q: %w", m.Data, err)
	case ack.Error != nil:
		return batchAck{}, fmt.Errorf("refused by the stream: %w", ack.Error)
	case ack.Stream == "" || ack.Sequence == 0:
		return batchAck{}, fmt.Errorf("publish ack without stream or sequence: %.80q", m.Data)
	}
	return ack, nil
}

// plainAck reads an ack that has only a stream and a sequence, as nearly all do, without allocating.
func plainAck(data []byte) (stream string, sequence uint64, ok bool) {
	const begin, middle = `{"stream":"`, `","seq":`
	if len(data) < len(begin) || string(data[:len(begin)]) != begin {
		return "", 0, false
	}
	data = data[len(begin):]
	for _, name := range [...]string{messages.StreamEvents, messages.StreamOrders, messages.StreamTimers} {
		if len(data) > len(name) && string(data[:len(name)]) == name && data[len(name)] == '"' {
			stream = name
			break
		}
	}
	data = data[len(stream):]
	if stream == "" || len(data) < len(middle) || string(data[:len(middle)]) != middle {
		return "", 0, false
	}
	data = data[len(middle):]
	i := 0
	for ; i < len(data) && '0' <= data[i] && data[i] <= '9'; i++ {
		sequence = sequence*10 + uint64(data[i]-'0')
	}
	return stream, sequence, i == len(data)-1 && data[i] == '}' && sequence > 0
}
