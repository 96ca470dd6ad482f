package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

const (
	apiDirectGet  = "$JS.API.DIRECT.GET." + messages.StreamEvents
	apiMessageGet = "$JS.API.STREAM.MSG.GET." + messages.StreamEvents

	// pageMax and pageBytes bound the reply to one direct get.
	pageMax   = 1000
	pageBytes = 4 << 20
)

// getRequest asks for stored messages.
type getRequest struct {
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
	Sequence uint64 `json:"seq,omitempty"`
	NextBy   string `json:"next_by_subj,omitempty"`
	LastBy   string `json:"last_by_subj,omitempty"`
}

// stored is one message of the stream.
type stored struct {
	sequence uint64
	time     time.Time
	body     []byte
}

// page reads the messages of the subject from the sequence on. Any server that has the
// stream may answer, also one that lags. more: there are further messages.
func (r *requests) page(ctx context.Context, subject string, from uint64) (got []stored, more bool, err error) {
	body, err := json.Marshal(getRequest{Batch: pageMax, MaxBytes: pageBytes, Sequence: from, NextBy: subject})
	if err != nil {
		return nil, false, err
	}
	replies, err := r.all(ctx, apiDirectGet, body)
	if err != nil {
		return nil, false, err
	}
	end := replies[len(replies)-1]
	replies = replies[:len(replies)-1]
	switch status := end.Header.Get(headerStatus); {
	case status == statusNotFound && len(replies) == 0:
		return nil, false, nil
	case status != statusEndOfBatch:
		return nil, false, refusedGet(subject, end)
	}
	var last uint64
	for _, m := range replies {
		s, previous, err := parseStored(m)
		if err != nil {
			return nil, false, infrastructure(err)
		}
		if previous != last {
			return nil, false, infrastructure(fmt.Errorf("direct get of %s: a reply is missing between sequences %d and %d", subject, last, s.sequence))
		}
		last = s.sequence
		got = append(got, s)
	}
	if sequence, err := number(end, "Nats-Last-Sequence"); err != nil || sequence != last {
		return nil, false, infrastructure(fmt.Errorf("direct get of %s: replies are missing after sequence %d", subject, last))
	}
	pending, err := number(end, "Nats-Num-Pending")
	if err != nil {
		return nil, false, infrastructure(err)
	}
	return got, pending > 0 && len(got) > 0, nil
}

func refusedGet(what string, m *nats.Msg) error {
	return infrastructure(fmt.Errorf("direct get of %s refused: %s %s", what, m.Header.Get(headerStatus), m.Header.Get("Description")))
}

// parseStored also returns the sequence of the message before it in the same reply, 0 for the first.
func parseStored(m *nats.Msg) (s stored, previous uint64, err error) {
	s, err1 := parseDirect(m)
	previous, err2 := number(m, "Nats-Last-Sequence")
	return s, previous, errors.Join(err1, err2)
}

// parseDirect reads the reply to a direct get of one message.
func parseDirect(m *nats.Msg) (s stored, err error) {
	sequence, err1 := number(m, "Nats-Sequence")
	at, err2 := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err := errors.Join(err1, err2); err != nil {
		return s, fmt.Errorf("direct get: %w", err)
	}
	return stored{sequence, at, m.Data}, nil
}

func number(m *nats.Msg, header string) (uint64, error) {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", header, err)
	}
	return n, nil
}

// leader asks the stream's leader for one message; found is false when there is none.
func (r *requests) leader(ctx context.Context, get getRequest) (s stored, found bool, err error) {
	body, err := json.Marshal(get)
	if err != nil {
		return s, false, err
	}
	m, err := r.one(ctx, apiMessageGet, body)
	if err != nil {
		return s, false, err
	}
	return parseLeader(m)
}

// parseLeader reads the leader's reply; found is false when it has no such message.
func parseLeader(m *nats.Msg) (s stored, found bool, err error) {
	var reply struct {
		Message *struct {
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
			Data     []byte    `json:"data"`
		} `json:"message"`
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return s, false, infrastructure(fmt.Errorf("unreadable reply on %s: %w", apiMessageGet, err))
	}
	switch {
	case reply.Error != nil && reply.Error.Code == codeNoMessage:
		return s, false, nil
	case reply.Error != nil:
		return s, false, infrastructure(reply.Error)
	case reply.Message == nil:
		return s, false, infrastructure(fmt.Errorf("empty reply on %s", apiMessageGet))
	}
	return stored{reply.Message.Sequence, reply.Message.Time, reply.Message.Data}, true, nil
}
