package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Journal appends to and reads ORDER_EVENTS. Its methods may be called from any goroutine.
type Journal struct {
	api       natsclient.API
	cfg       Config
	instr     *instrumentation
	epoch     time.Time
	publisher *natsclient.Publisher
	reads     *natsclient.Requester
	// directGet and leaderGet are the subjects of the two kinds of get.
	directGet, leaderGet string
	// paging bounds the orders that are read page by page.
	paging chan struct{}
	// histories bounds the histories that are read in full.
	histories chan struct{}
	foreign   foreignMessages
}

// New starts a journal over js, whose connection stays the caller's. The error names the invalid value.
func New(js jetstream.JetStream, cfg Config) (*Journal, error) {
	if js == nil {
		return nil, errors.New("journal needs a connection to NATS")
	}
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	instr, err := newInstrumentation(cfg.Meter)
	if err != nil {
		return nil, err
	}
	j := &Journal{api: natsclient.NewAPI(js), cfg: cfg, instr: instr, epoch: time.Now(), paging: make(chan struct{}, maxPaging), histories: make(chan struct{}, maxHistories)}
	j.foreign.counter, j.foreign.log = instr.foreign, cfg.Logger
	j.directGet, j.leaderGet = j.api.DirectGet(messages.StreamEvents), j.api.LeaderGet(messages.StreamEvents)
	j.publisher, err = natsclient.NewPublisher(js.Conn(), natsclient.PublisherConfig{
		Config: natsclient.Config{Timeout: cfg.AckTimeout, FailFast: true, Logger: cfg.Logger.With("node", cfg.Node)},
		Batch:  cfg.GroupCommit, BatchMax: cfg.BatchMax,
		Committed: func(size int) { j.instr.batch.Record(context.Background(), int64(size)) },
	})
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	// The reads have their own Requester, so that a read stuck in a write does not block appends.
	if j.reads, err = natsclient.NewRequester(js.Conn(), natsclient.Config{Timeout: cfg.AckTimeout}); err != nil {
		j.publisher.Close()
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return j, nil
}

// Close ends every append that is in flight with an error and waits for the journal's goroutines. The
// connection stays open. It must not be called from a Done.
func (j *Journal) Close() {
	j.publisher.Close()
	j.reads.Close()
}
