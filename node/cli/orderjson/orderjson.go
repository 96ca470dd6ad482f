// Package orderjson reads orders in JSON from a stream: objects, arrays and JSON lines, in any sequence.
package orderjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/orderly-engine/orderly/messages"
)

// Order is one order of an input, or the error in its place.
type Order struct {
	// Line is its first line, from 1.
	Line  int
	Order *messages.OrderCreated
	Err   error
}

// maxValue bounds one order in the input, in bytes: white space may double its size.
const maxValue = 2 * messages.MaxBody

// Read calls yield with every order of r until yield returns false. Invalid orders are yielded with their error. After malformed
// JSON it continues with the next line, or within an array it ends. The error is that of reading r.
func Read(r io.Reader, yield func(Order) bool) error {
	in := &reader{r: r, line: 1}
	in.skipMark()
	for {
		first, err := in.peek()
		if err != nil {
			return ended(err)
		}
		var more bool
		if first == '[' {
			more, err = in.array(yield)
		} else {
			more, err = in.object(yield)
		}
		if err != nil || !more {
			return ended(err)
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// reader buffers what was read and not consumed.
type reader struct {
	r    io.Reader
	buf  []byte
	err  error // of r, after buf
	line int
}

// object reads one value that should be an order.
func (in *reader) object(yield func(Order) bool) (more bool, err error) {
	line := in.line
	raw, broken, err := in.value()
	switch {
	case err != nil:
		return false, err
	case broken != nil:
		if !yield(Order{Line: line, Err: broken}) {
			return false, nil
		}
		return true, in.skipLine()
	}
	return yield(decode(raw, line)), nil
}

// array reads [ order, order, … ].
func (in *reader) array(yield func(Order) bool) (more bool, err error) {
	in.consume(1)
	for n := 0; ; n++ {
		c, err := in.peek()
		switch {
		case errors.Is(err, io.EOF):
			return yield(in.broken("the array does not end")), nil //nolint:nilerr // yielded as an order
		case err != nil:
			return false, err
		case c == ']':
			in.consume(1)
			return true, nil
		case n > 0 && c != ',':
			yield(in.broken("want , or ] between the elements of an array"))
			return false, nil
		case n > 0:
			in.consume(1)
			if _, err := in.peek(); err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
		}
		line := in.line
		raw, broken, err := in.value()
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return false, err
		case err != nil:
			return yield(in.broken("the array does not end")), nil //nolint:nilerr // yielded as an order
		case broken != nil:
			yield(Order{Line: line, Err: broken})
			return false, nil //nolint:nilerr // yielded as an order
		case !yield(decode(raw, line)):
			return false, nil
		}
	}
}

func (in *reader) broken(why string) Order {
	return Order{Line: in.line, Err: fmt.Errorf("broken JSON: %s", why)}
}

// value reads one JSON value as soon as it is complete. If it is malformed, broken is set and nothing is consumed; err is io.EOF at
// the end.
func (in *reader) value() (raw []byte, broken, err error) {
	for {
		dec := json.NewDecoder(bytes.NewReader(in.buf))
		var v json.RawMessage
		err := dec.Decode(&v)
		switch {
		case err == nil:
			in.consume(int(dec.InputOffset()))
			return v, nil, nil
		case len(in.buf) == 0, errors.Is(err, io.ErrUnexpectedEOF):
		default:
			return nil, fmt.Errorf("broken JSON: %w", err), nil
		}
		if len(in.buf) >= maxValue {
			return nil, fmt.Errorf("an order of more than %d bytes, or broken JSON", maxValue), nil
		}
		switch err := in.more(); {
		case errors.Is(err, io.EOF) && len(in.buf) > 0:
			return nil, errors.New("broken JSON: the input ends within it"), nil
		case err != nil:
			return nil, nil, err
		}
	}
}

// more reads more bytes. It doubles the buffer, so that a long value is not decoded too often.
func (in *reader) more() error {
	for in.err == nil {
		start := len(in.buf)
		in.buf = append(in.buf, make([]byte, max(64<<10, start))...)
		var got int
		got, in.err = in.r.Read(in.buf[start:])
		in.buf = in.buf[:start+got]
		if got > 0 {
			return nil
		}
	}
	return in.err
}

// consume drops the first n bytes and counts their lines.
func (in *reader) consume(n int) {
	in.line += bytes.Count(in.buf[:n], []byte{'\n'})
	in.buf = in.buf[n:]
}

// peek skips white space and returns the byte after it; io.EOF when there is none.
func (in *reader) peek() (byte, error) {
	for {
		rest := bytes.TrimLeft(in.buf, " \t\r\n")
		in.consume(len(in.buf) - len(rest))
		if len(rest) > 0 {
			return rest[0], nil
		}
		if err := in.more(); err != nil {
			return 0, err
		}
	}
}

// skipLine drops the rest of the line.
func (in *reader) skipLine() error {
	for {
		if i := bytes.IndexByte(in.buf, '\n'); i >= 0 {
			in.consume(i)
			return nil
		}
		in.consume(len(in.buf))
		if err := in.more(); err != nil {
			return err
		}
	}
}

// skipMark drops the byte order mark that some editors write before UTF-8.
func (in *reader) skipMark() {
	mark := []byte("\xef\xbb\xbf")
	for len(in.buf) < len(mark) && bytes.HasPrefix(mark, in.buf) {
		if err := in.more(); err != nil {
			break
		}
	}
	if bytes.HasPrefix(in.buf, mark) {
		in.consume(len(mark))
	}
}

func decode(raw []byte, line int) Order {
	o, err := messages.DecodeCreated("application/json", raw)
	return Order{Line: line, Order: o, Err: err}
}
