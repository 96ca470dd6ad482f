// Package intake reads orders that people hand in as JSON: one object, an array, or JSON lines.
package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/orderly-engine/orderly/messages"
)

// Order is one order of an input, or why it is none.
type Order struct {
	// Line is where it begins, 1 for the first line.
	Line  int
	Order *messages.OrderCreated
	Err   error
}

// Read hands every order of r to yield until yield returns false. An element that is JSON but no order is handed over
// with its error, and reading goes on; after JSON that is broken nothing can be told apart any more, except in JSON
// lines, where the next line is a new beginning. The error is that of reading r.
func Read(r io.Reader, yield func(Order) bool) error {
	in := &reader{buf: bufio.NewReaderSize(r, 64<<10), line: 1}
	first, err := in.peek()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case first == '[':
		return in.array(yield)
	}
	return in.objects(yield)
}

type reader struct {
	buf  *bufio.Reader
	line int
}

// peek skips white space and returns the first byte after it.
func (r *reader) peek() (byte, error) {
	for {
		c, err := r.buf.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			r.line++
		case ' ', '\t', '\r':
		default:
			return c, r.buf.UnreadByte()
		}
	}
}

// array reads [ order, order, … ].
func (r *reader) array(yield func(Order) bool) error {
	counted := &lines{r: r.buf, line: r.line}
	dec := json.NewDecoder(counted)
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			yield(Order{Line: counted.at(dec.InputOffset()), Err: fmt.Errorf("broken JSON: %w", err)})
			return nil
		}
		line := counted.at(dec.InputOffset() - int64(len(raw)))
		if !yield(decode(raw, line)) {
			return nil
		}
	}
	if _, err := dec.Token(); err != nil {
		yield(Order{Line: counted.at(dec.InputOffset()), Err: fmt.Errorf("broken JSON: the array does not end: %w", err)})
	}
	return nil
}

// objects reads one object after the other, each on lines of its own.
func (r *reader) objects(yield func(Order) bool) error {
	for {
		if _, err := r.peek(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		line := r.line
		raw, err := r.object()
		if err != nil {
			return err
		}
		if !yield(decode(raw, line)) {
			return nil
		}
	}
}

// object collects lines until they hold a whole JSON value, or a line that can belong to none.
func (r *reader) object() ([]byte, error) {
	var raw []byte
	for {
		text, err := r.buf.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r.line += bytes.Count(text, []byte{'\n'})
		raw = append(raw, text...)
		if err != nil || json.Valid(raw) || !unfinished(raw) || len(raw) > 2*messages.MaxBody {
			return bytes.TrimSpace(raw), nil
		}
		if next, err := r.buf.Peek(1); err == nil && next[0] == '{' {
			return bytes.TrimSpace(raw), nil
		}
	}
}

// unfinished reports whether raw is the beginning of a JSON value, not something broken.
func unfinished(raw []byte) bool {
	var v json.RawMessage
	err := json.NewDecoder(bytes.NewReader(raw)).Decode(&v)
	return errors.Is(err, io.ErrUnexpectedEOF)
}

func decode(raw []byte, line int) Order {
	o, err := messages.DecodeCreated("application/json", raw)
	return Order{Line: line, Order: o, Err: err}
}

// lines remembers where the lines of what passed through began.
type lines struct {
	r      io.Reader
	line   int
	offset int64
	ends   []int64
}

func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at is the line of the byte at offset; offsets must not decrease.
func (l *lines) at(offset int64) int {
	for len(l.ends) > 0 && l.ends[0] < offset {
		l.ends = l.ends[1:]
		l.line++
	}
	return l.line
}
