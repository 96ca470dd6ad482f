package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/telemetry"
	"github.com/orderly-engine/orderly/node/timeline"
)

const (
	// firstWait is how long the response header waits for the first event, so that an early error has its own status.
	firstWait = 250 * time.Millisecond
	// sendTimeout bounds one write.
	sendTimeout = 10 * time.Second
)

// eventsPattern is the only endpoint that can stream.
const eventsPattern = "GET /v1/orders/{id}/events"

// stream sends an order's events, past and future, and ends with the order. The id of an event is the sequence of its journal
// entry; a client that reconnects with it (Last-Event-ID) continues after it, and gets 204, which stops it, if the order has
// ended and all its events were sent.
func (a *API) stream(w http.ResponseWriter, r *http.Request, id messages.OrderID) *problem {
	after, resumed, p := lastEventID(r)
	if p != nil {
		return p
	}
	ctx, cancel := context.WithCancel(r.Context())
	entries, ended := make(chan []timeline.Event), make(chan error, 1)
	go func() {
		ended <- a.follow(ctx, id, after, entries)
		close(ended)
	}()
	defer func() {
		cancel()
		for range ended { // until the goroutine has ended
		}
	}()
	a.measure.streams.Add(ctx, 1)
	defer a.measure.streams.Add(context.WithoutCancel(ctx), -1)

	s := &eventStream{w: w, control: http.NewResponseController(w)}
	first := time.NewTimer(firstWait)
	defer first.Stop()
	heartbeat := time.NewTicker(a.cfg.Heartbeat)
	defer heartbeat.Stop()
	for {
		var err error
		select {
		case events := <-entries:
			first.Stop()
			err = s.send(events)
		case <-first.C:
			err = s.comment("following")
		case <-heartbeat.C:
			err = s.comment("alive")
		case <-a.stopping:
			return s.end(unavailable("the node is stopping: use another one"))
		case failed := <-ended:
			switch {
			case failed == nil && !s.started && resumed:
				w.WriteHeader(http.StatusNoContent)
				return nil
			case failed == nil:
				return s.end(nil)
			case ctx.Err() != nil:
				return nil
			case s.started:
				a.cfg.Logger.WarnContext(ctx, "event stream failed", telemetry.KeyOrderID, id, telemetry.KeyError, failed)
			}
			return s.end(readProblem(id, failed))
		}
		if err != nil {
			return nil // the client went away
		}
	}
}

// follow sends the entries of the order to the channel until the order or ctx ends.
func (a *API) follow(ctx context.Context, id messages.OrderID, after uint64, entries chan<- []timeline.Event) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("follow order %s: panic: %v", id, reason)
		}
	}()
	return a.deps.Orders.Follow(ctx, id, after, func(events []timeline.Event) error {
		select {
		case entries <- events:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// lastEventID is the sequence after which a client that reconnects continues.
func lastEventID(r *http.Request) (sequence uint64, resumed bool, p *problem) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		return 0, false, nil
	}
	sequence, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0, false, newProblem(http.StatusBadRequest, fmt.Sprintf("Last-Event-ID is %.40q: want the id of an event", id))
	}
	return sequence, true, nil
}

// eventStream writes server-sent events.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
	started bool
}

// send writes the events of one entry. Only the last has the id: a client that received a part gets all of them again.
func (s *eventStream) send(events []timeline.Event) error {
	s.buffer.Reset()
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		if i == len(events)-1 {
			fmt.Fprintf(&s.buffer, "id: %d\n", e.Sequence)
		}
		fmt.Fprintf(&s.buffer, "event: %s\ndata: %s\n\n", e.Kind, data)
	}
	return s.flush()
}

// comment writes a comment, which keeps the connection alive.
func (s *eventStream) comment(text string) error {
	s.buffer.Reset()
	s.buffer.WriteString(": " + text + "\n\n")
	return s.flush()
}

// flush writes the buffer, with its own deadline in place of that of an ordinary request.
func (s *eventStream) flush() error {
	if !s.started {
		s.started = true
		h := s.w.Header()
		h.Set("Content-Type", mediaStream)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // keeps proxies from buffering
		s.w.WriteHeader(http.StatusOK)
	}
	// An error means that the connection does not support deadlines.
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := s.w.Write(s.buffer.Bytes()); err != nil {
		return err
	}
	return s.control.Flush()
}

// end returns the problem if the response has not started; otherwise the client notices the end and reconnects.
func (s *eventStream) end(p *problem) *problem {
	if s.started {
		return nil
	}
	if p == nil {
		s.buffer.Reset()
		_ = s.flush()
	}
	return p
}
