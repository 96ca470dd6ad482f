package journal

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

const (
	headerExpected      = "Nats-Expected-Last-Subject-Sequence"
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerStatus        = "Status"

	statusNoResponders = "503"
	statusEndOfBatch   = "204"
	statusNotFound     = "404"
)

// The server's error codes that are told apart.
const (
	codeNoMessage         = 10037
	codeWrongLastSequence = 10071
	codeWrongLastInFlight = 10164
	codeAtomicDisabled    = 10174
	codeAtomicTooLarge    = 10199
)

// apiError is the error in a reply of JetStream.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the stream refused: %s (%d)", e.Description, e.Code)
}

// fenced reports whether the append, or one of the batch, was forestalled. On replicated streams the server has a
// second code, for another write to the subject that is still under way.
func (e *apiError) fenced() bool {
	return e.Code == codeWrongLastSequence || e.Code == codeWrongLastInFlight
}

const plainAck = `{"stream":"` + messages.StreamEvents + `","seq":`

// parseAck reads the reply to a publish: the sequence of the (last) message and, for a batch, how many were stored.
// The error is an *apiError when the stream refused, and wraps errLost when the reply says nothing.
func parseAck(m *nats.Msg) (sequence uint64, count int, err error) {
	if data := m.Data; len(data) > len(plainAck)+1 && string(data[:len(plainAck)]) == plainAck {
		var n uint64
		i := len(plainAck)
		for ; i < len(data) && '0' <= data[i] && data[i] <= '9'; i++ {
			n = n*10 + uint64(data[i]-'0')
		}
		if i == len(data)-1 && data[i] == '}' && n > 0 {
			return n, 0, nil
		}
	}
	if m.Header.Get(headerStatus) == statusNoResponders {
		return 0, 0, infrastructure(errStore)
	}
	var ack struct {
		Stream   string    `json:"stream"`
		Sequence uint64    `json:"seq"`
		Count    int       `json:"count"`
		Error    *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, 0, fmt.Errorf("%w (unreadable: %w)", errLost, err)
	}
	switch {
	case ack.Error != nil:
		return 0, 0, ack.Error
	case ack.Stream != messages.StreamEvents:
		return 0, 0, infrastructure(fmt.Errorf("stream %q took the append instead of %s; remove ORDER_EVENT.* from its subjects", ack.Stream, messages.StreamEvents))
	case ack.Sequence == 0:
		return 0, 0, fmt.Errorf("%w (no sequence in %q)", errLost, m.Data)
	}
	return ack.Sequence, ack.Count, nil
}
