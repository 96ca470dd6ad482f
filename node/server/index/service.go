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

// Subject takes a Query in JSON and answers with a Page, or with the headers of an error as NATS services do. Of the
// nodes with an index, any answers.
const Subject = "ORDERLY.list"

const (
	queue = "orderly"
	// maxQuestion and maxAnswer bound a question and an answer, in bytes; servers carry 1 MiB unless told otherwise.
	maxQuestion = 16 << 10
	maxAnswer   = 512 << 10
	// drainTimeout is how long, at the end, the server may take to hear that no more questions are taken.
	drainTimeout = time.Second
	// askTimeout is how long an answer is waited for.
	askTimeout = queryTimeout + 2*time.Second

	headerErrorCode = "Nats-Service-Error-Code"
	headerError     = "Nats-Service-Error"
	codeQuery       = 400
	codeAway        = 503
	codeFailed      = 500
)

// ErrNobody: no node with an index answers.
var ErrNobody = errors.New("no node with an index answers: start one, with ORDERLY_INDEX=on")

// answer takes questions until stop has returned. Those that are under way by then are cut short by the session's end. A
// server that is away or silent is not waited for: whoever asked there has no answer to expect.
func (x *Index) answer() (stop func(), err error) {
	var answering sync.WaitGroup
	slots := make(chan struct{}, readers)
	sub, err := x.js.Conn().QueueSubscribe(Subject, queue, func(m *nats.Msg) {
		slots <- struct{}{}
		answering.Go(func() {
			defer func() { <-slots }()
			if reply := x.reply(context.Background(), m.Data); m.Reply != "" {
				_ = m.RespondMsg(reply) // fails when the connection is away, and then nobody waits any more
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("answer questions on %s: %w", Subject, err)
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
		answering.Wait()
	}, nil
}

func (x *Index) reply(ctx context.Context, body []byte) *nats.Msg {
	var q Query
	var page *Page
	var after []cursor
	var err error
	if len(body) > maxQuestion {
		err = fmt.Errorf("%w: it has %d bytes: at most %d are allowed", ErrQuery, len(body), maxQuestion)
	} else if wrong := json.Unmarshal(orEmpty(body), &q); wrong != nil {
		err = fmt.Errorf("%w: %w", ErrQuery, wrong)
	} else {
		page, after, err = x.page(ctx, q)
	}
	if err == nil {
		return &nats.Msg{Data: page.fit(after)}
	}
	code := codeFailed
	switch {
	case errors.Is(err, ErrQuery):
		code = codeQuery
	case errors.Is(err, ErrAway):
		code = codeAway
	}
	return &nats.Msg{Header: nats.Header{headerErrorCode: {strconv.Itoa(code)}, headerError: {oneLine(err)}}}
}

// orEmpty lets an empty message ask for everything.
func orEmpty(body []byte) []byte {
	if len(body) == 0 {
		return []byte("{}")
	}
	return body
}

// fit encodes the page, with as many orders as an answer carries: the rest is on the next page.
func (p *Page) fit(after []cursor) []byte {
	for {
		text, err := json.Marshal(p)
		if err != nil {
			panic(err) // our own type, which marshals
		}
		n := len(p.Orders)
		if len(text) <= maxAnswer || n <= 1 {
			return text
		}
		p.Orders = p.Orders[:n/2]
		p.Next = after[n/2-1].String()
	}
}

// Ask puts a question to the nodes. The error wraps ErrQuery when the question is wrong, and ErrNobody when no node with
// an index answers.
func Ask(ctx context.Context, nc *nats.Conn, q Query) (*Page, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, Subject, body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("list orders: no answer: %w", err)
	}
	switch code, text := m.Header.Get(headerErrorCode), m.Header.Get(headerError); code {
	case "":
	case strconv.Itoa(codeQuery):
		return nil, fmt.Errorf("%w: %s", ErrQuery, strings.TrimPrefix(text, ErrQuery.Error()+": "))
	case strconv.Itoa(codeAway):
		return nil, fmt.Errorf("%w (it is just stopping)", ErrNobody)
	default:
		return nil, fmt.Errorf("list orders: the node says: %s", text)
	}
	page := &Page{}
	if err := json.Unmarshal(m.Data, page); err != nil {
		return nil, fmt.Errorf("list orders: the answer cannot be read: %w", err)
	}
	return page, nil
}

// oneLine is an error as a header carries it.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
