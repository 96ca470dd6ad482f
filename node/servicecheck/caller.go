package servicecheck

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// Caller makes step calls and keeps what was sent and what came. It is safe for concurrent use.
type Caller struct {
	set *gateway.Set

	mu    sync.Mutex
	calls map[*gateway.Call]*call // in flight
}

// call is a call in flight.
type call struct {
	exchange Exchange
	// rewrite changes the body, or is nil.
	rewrite func(body []byte) []byte
}

// NewCaller returns a Caller over nc, which may be nil if no target needs it. cfg is that of the gateway; its Probe is replaced.
func NewCaller(nc *nats.Conn, cfg gateway.Config) *Caller {
	c := &Caller{calls: map[*gateway.Call]*call{}}
	cfg.Probe = &gateway.Probe{Sending: c.sending, Received: c.received}
	c.set = gateway.New(nc, cfg)
	return c
}

// Close ends the calls in flight.
func (c *Caller) Close() { c.set.Close() }

// Call makes one attempt and waits for its end. When ctx ends, the call is given up with its error.
func (c *Caller) Call(ctx context.Context, request *gateway.Call) Exchange {
	return c.call(ctx, request, nil)
}

func (c *Caller) call(ctx context.Context, request *gateway.Call, rewrite func([]byte) []byte) Exchange {
	type end struct {
		reply *messages.StepReply
		err   error
	}
	ended := make(chan end, 1)
	c.mu.Lock()
	c.calls[request] = &call{exchange: Exchange{Target: request.Target()}, rewrite: rewrite}
	c.mu.Unlock()
	start := time.Now()
	c.set.Do(request, func(reply *messages.StepReply, err error) { ended <- end{reply, err} })
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		e.err = ctx.Err()
	}
	c.mu.Lock()
	x := c.calls[request].exchange
	delete(c.calls, request)
	c.mu.Unlock()
	x.Took, x.Reply, x.Err = time.Since(start), e.reply, e.err
	x.Meaning = gateway.MeaningOf(request.Direction, e.reply, e.err)
	return x
}

func (c *Caller) sending(request *gateway.Call, header map[string][]string, body []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.calls[request]; p != nil {
		if p.rewrite != nil {
			body = p.rewrite(body)
		}
		p.exchange.Sent = newMessage(header, body)
	}
	return body
}

func (c *Caller) received(request *gateway.Call, status int, header map[string][]string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.calls[request]; p != nil {
		if code := header[micro.ErrorCodeHeader]; status == 0 && len(code) > 0 {
			status, _ = strconv.Atoi(code[0])
		}
		p.exchange.Status, p.exchange.Answer = status, newMessage(header, body)
	}
}

func newMessage(header map[string][]string, body []byte) *Message {
	return &Message{Header: maps.Clone(header), Body: append([]byte{}, body...)}
}
