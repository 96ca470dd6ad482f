package reading

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// decode returns the JSON value of a body; false if it is not JSON.
func decode(body []byte) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, false
	}
	return convert(value), true
}

// convert replaces the numbers in a value, in place: by an int64 or else a uint64 if the number is whole and fits, otherwise
// by a float64.
func convert(value any) any {
	switch v := value.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u
		}
		// Out of range it is infinite.
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f
	case map[string]any:
		for key, member := range v {
			v[key] = convert(member)
		}
	case []any:
		for i, element := range v {
			v[i] = convert(element)
		}
	}
	return value
}

// step is one step of a path: the key of an object, or the index of a list.
type step struct {
	key     string
	index   int64
	isIndex bool
}

// pathOf returns the path of an expression that only names a place in the body; false for any other.
func pathOf(e ast.Expr) ([]step, bool) {
	var last step
	var of ast.Expr
	switch e.Kind() {
	case ast.IdentKind:
		return nil, e.AsIdent() == "body"
	case ast.SelectKind:
		s := e.AsSelect()
		if s.IsTestOnly() {
			return nil, false
		}
		last, of = step{key: s.FieldName()}, s.Operand()
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != operators.Index || c.Args()[1].Kind() != ast.LiteralKind {
			return nil, false
		}
		of = c.Args()[0]
		switch at := c.Args()[1].AsLiteral().Value().(type) {
		case string:
			last = step{key: at}
		case int64:
			last = step{index: at, isIndex: true}
		default:
			return nil, false
		}
	default:
		return nil, false
	}
	path, ok := pathOf(of)
	return append(path, last), ok
}

// textAt returns the JSON text of a place in a body, which must be JSON; empty if the body lacks it.
func textAt(body []byte, path []step) string {
	for _, s := range path {
		if s.isIndex {
			var elements []json.RawMessage
			if json.Unmarshal(body, &elements) != nil || s.index < 0 || s.index >= int64(len(elements)) {
				return ""
			}
			body = elements[s.index]
			continue
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) != nil || members[s.key] == nil {
			return ""
		}
		body = members[s.key]
	}
	return string(body)
}
