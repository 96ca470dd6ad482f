package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// verdict is the result of the first call with a key, which is final.
type verdict string

const (
	// performed: the effect happened.
	performed verdict = "performed"
	// refused: the service refused.
	refused verdict = "refused"
	// idle: an undo with nothing to undo.
	idle verdict = "idle"
	// sealed: a do whose undo was called first; it is never performed.
	sealed verdict = "sealed"
)

// entry is the record of a key: a line of the file.
type entry struct {
	Key       string  `json:"key"`
	Order     string  `json:"order"`
	Step      string  `json:"step"`
	Direction string  `json:"direction"`
	Verdict   verdict `json:"verdict"`
	// Body is the digest of the request; empty: any, as that of a do that is sealed.
	Body string `json:"body,omitempty"`
	// Token is the fencing token of the call.
	Token uint64 `json:"token,omitempty"`
	// Ready is when pending work is finished; zero: never pending.
	Ready time.Time       `json:"ready,omitzero"`
	Reply json.RawMessage `json:"reply"`

	answer *messages.StepReply // Reply, decoded
}

// target identifies an effect independent of the key.
func (e *entry) target() string { return e.Order + "/" + e.Step + "/" + e.Direction }

// ledger decides each key once. Its lock is held during the append to the file on purpose: the line is the effect.
type ledger struct {
	mu      sync.Mutex
	file    *os.File // nil: memory only
	size    int64
	entries map[string]*entry
	tokens  map[string]uint64 // largest fencing token by order
	calls   map[string]int    // by key; this process only
	effects map[string]int    // by target
}

var (
	// errStale refuses a call of a node that no longer owns the order.
	errStale = errors.New("the fencing token is smaller than one of an earlier call for the order")
	// errOtherBody refuses another request under a key.
	errOtherBody = errors.New("the idempotency key was used with another body")
)

// openLedger reads the file at path, which need not exist; empty: memory only.
func openLedger(path string) (*ledger, error) {
	l := &ledger{entries: map[string]*entry{}, tokens: map[string]uint64{}, calls: map[string]int{}, effects: map[string]int{}}
	if path == "" {
		return l, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open demo ledger: %w", err)
	}
	l.file = file
	if err := l.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read demo ledger %s: %w", path, err), file.Close())
	}
	return l, nil
}

func (l *ledger) load() error {
	r := bufio.NewReader(l.file)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// A crash cut the last line before its reply was sent.
			return l.cut()
		}
		if err != nil {
			return err
		}
		e := &entry{}
		if err := json.Unmarshal(line, e); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		e.answer = &messages.StepReply{}
		if err := messages.UnmarshalJSON(e.Reply, e.answer); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		l.size += int64(len(line))
		l.enter(e)
	}
}

// cut removes a partial entry at the end of the file.
func (l *ledger) cut() error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	_, err := l.file.Seek(l.size, io.SeekStart)
	return err
}

// count counts a call with the key.
func (l *ledger) count(key string) {
	l.mu.Lock()
	l.calls[key]++
	l.mu.Unlock()
}

// call returns the entry of the key of a request. For a new key decide completes the entry, or makes more, which are recorded and,
// with a file, written before call returns. again reports that the key had an entry. The error is errStale, errOtherBody, or that
// of the file.
func (l *ledger) call(request *entry, decide func(known map[string]*entry) []*entry) (e *entry, again bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[request.Key]; e != nil {
		if e.Body != "" && e.Body != request.Body {
			return nil, true, errOtherBody
		}
		return e, true, nil
	}
	if request.Token > 0 && request.Token < l.tokens[request.Order] {
		return nil, false, errStale
	}
	decided := decide(l.entries)
	if err := l.write(decided); err != nil {
		return nil, false, err
	}
	for _, e := range decided {
		l.enter(e)
	}
	return l.entries[request.Key], false, nil
}

// undone reports whether the undo of a do has been called.
func (l *ledger) undone(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.Direction == messages.Do.Label() && l.entries[undoKey(e.Key)] != nil
}

func (l *ledger) enter(e *entry) {
	l.entries[e.Key] = e
	l.tokens[e.Order] = max(l.tokens[e.Order], e.Token)
	if e.Verdict == performed {
		l.effects[e.target()]++
	}
}

func (l *ledger) write(entries []*entry) error {
	if l.file == nil {
		return nil
	}
	var lines bytes.Buffer
	for _, e := range entries {
		reply, err := messages.MarshalJSON(e.answer)
		if err != nil {
			return fmt.Errorf("encode ledger entry %s: %w", e.Key, err)
		}
		e.Reply = reply
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode ledger entry %s: %w", e.Key, err)
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	if _, err := l.file.Write(lines.Bytes()); err != nil {
		return errors.Join(fmt.Errorf("append to demo ledger: %w", err), l.cut())
	}
	l.size += int64(lines.Len())
	return nil
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
