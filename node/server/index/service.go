package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Subject takes a Query in JSON and replies with a Page, or with the error headers of NATS services. Any node with an index
// replies.
const Subject = "ORDERLY.list"

const (
	queue = "orderly"
	// maxRequest and maxReply bound a request and a reply, in bytes; the default max_payload of servers is 1 MiB.
	maxRequest = 16 << 10
	maxReply   = 512 << 10
	// drainTimeout is the longest wait for the server to end the subscription.
	drainTimeout = time.Second
	// requestTimeout is the longest wait for a reply.
	requestTimeout = queryTimeout + 2*time.Second

	headerErrorCode = "Nats-Service-Error-Code"
	headerError     = "Nats-Service-Error"
	codeQuery       = 400
	codeAway        = 503
	codeFailed      = 500
)

// ErrNoNode: no node with an index replies.
var ErrNoNode = errors.New("no node with an index answers: start one, with ORDERLY_INDEX=on")

// serve answers queries until stop has returned. The end of the session interrupts running queries. It does not wait for a
// server that is unreachable or unresponsive.
func (x *Index) serve() (stop func(), err error) {
	var replying sync.WaitGroup
	slots := make(chan struct{}, readers)
	sub, err := x.js.Conn().QueueSubscribe(Subject, queue, func(m *nats.Msg) {
		slots <- struct{}{}
		replying.Go(func() {
			defer func() { <-slots }()
			if reply := x.reply(context.Background(), m.Data); m.Reply != "" {
				_ = m.RespondMsg(reply) // fails only without a connection, and then the client gets no reply either way
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("serve queries on %s: %w", Subject, err)
	}
	closed := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(closed) })
	return func() {
		if !x.js.Conn().IsConnected() || sub.Drain() != nil {
			_ = sub.Unsubscribe() // fails only when it has ended already
		}
		select {
		case <-closed:
		case <-time.After(drainTimeout):
			if sub.Unsubscribe() == nil { // else it has ended already
				<-closed
			}
		}
		replying.Wait()
	}, nil
}

func (x *Index) reply(ctx context.Context, body []byte) *nats.Msg {
	var q Query
	var page *Page
	var after []cursor
	var err error
	if len(body) > maxRequest {
		err = fmt.Errorf("%w: it has %d bytes: at most %d are allowed", ErrQuery, len(body), maxRequest)
	} else if wrong := json.Unmarshal(orAll(body), &q); wrong != nil {
		err = fmt.Errorf("%w: %w", ErrQuery, wrong)
	} else {
		page, after, err = x.page(ctx, q)
	}
	if err == nil {
		return &nats.Msg{Data: page.encode(after)}
	}
	code := codeFailed
	switch {
	case errors.Is(err, ErrQuery):
		code = codeQuery
	case errors.Is(err, ErrNoIndex):
		code = codeAway
	}
	return &nats.Msg{Header: nats.Header{headerErrorCode: {strconv.Itoa(code)}, headerError: {headerText(err)}}}
}

// orAll makes an empty body the query for all orders.
func orAll(body []byte) []byte {
	if len(body) == 0 {
		return []byte("{}")
	}
	return body
}

// encode encodes the page, with as many orders as fit into a reply; the others are on the next page.
func (p *Page) encode(after []cursor) []byte {
	for {
		text, err := json.Marshal(p)
		if err != nil {
			panic(err) // our own type, which marshals
		}
		n := len(p.Orders)
		if len(text) <= maxReply || n <= 1 {
			return text
		}
		p.Orders = p.Orders[:n/2]
		p.Next = after[n/2-1].String()
	}
}

// Ask sends a query to the nodes. The error wraps ErrQuery if the query is invalid, and ErrNoNode if no node with an index
// replies.
func Ask(ctx context.Context, nc *nats.Conn, q Query) (*Page, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, Subject, body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNoNode
	case err != nil:
		return nil, fmt.Errorf("list orders: no reply: %w", err)
	}
	switch code, text := m.Header.Get(headerErrorCode), m.Header.Get(headerError); code {
	case "":
	case strconv.Itoa(codeQuery):
		return nil, fmt.Errorf("%w: %s", ErrQuery, strings.TrimPrefix(text, ErrQuery.Error()+": "))
	case strconv.Itoa(codeAway):
		return nil, fmt.Errorf("%w (the one that replied is stopping)", ErrNoNode)
	default:
		return nil, fmt.Errorf("list orders: the node replied: %s", text)
	}
	page := &Page{}
	if err := json.Unmarshal(m.Data, page); err != nil {
		return nil, fmt.Errorf("list orders: unreadable reply: %w", err)
	}
	return page, nil
}

// headerText is the error on one line, for a header.
func headerText(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
