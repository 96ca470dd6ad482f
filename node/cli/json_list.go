package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// jsonList writes a list an element at a time, as writeJSON would write it whole.
type jsonList struct {
	out io.Writer
	// indent is that of the line the list begins in.
	indent string
	begun  bool
}

// add writes one more element.
func (l *jsonList) add(v any) error {
	element, err := json.MarshalIndent(v, l.indent+jsonIndent, jsonIndent)
	if err != nil {
		return err
	}
	before := "["
	if l.begun {
		before = ","
	}
	l.begun = true
	_, err = fmt.Fprintf(l.out, "%s\n%s%s", before, l.indent+jsonIndent, element)
	return err
}

// end closes the list. One that is never closed is no JSON: whoever reads it learns that it is not whole.
func (l *jsonList) end() error {
	if !l.begun {
		_, err := io.WriteString(l.out, "[]")
		return err
	}
	_, err := fmt.Fprintf(l.out, "\n%s]", l.indent)
	return err
}
