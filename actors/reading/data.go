package reading

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	// maxDepth is the deepest nesting of computed data.
	maxDepth = 64
	// maxComputed is the size of the largest computed data, in bytes. What a journal can hold is less.
	maxComputed = 1 << 20
)

var (
	errTooDeep  = fmt.Errorf("its result nests deeper than %d levels", maxDepth)
	errTooLarge = fmt.Errorf("its result has more than %d bytes", maxComputed)
	errInfinite = errors.New("its result contains a number that is not finite")
)

// appendJSON appends a computed value as JSON text. Keys are sorted; bytes are base64, a timestamp and a duration are texts.
func appendJSON(b []byte, v ref.Val, depth int) ([]byte, error) {
	if depth == 0 {
		return b, errTooDeep
	}
	if len(b) > maxComputed {
		return b, errTooLarge
	}
	switch v := v.(type) {
	case types.Null:
		return append(b, "null"...), nil
	case types.Bool:
		return strconv.AppendBool(b, bool(v)), nil
	case types.Int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case types.Double:
		return appendDouble(b, float64(v))
	case types.String:
		return appendText(b, string(v))
	case types.Bytes:
		return appendText(b, base64.StdEncoding.EncodeToString(v))
	case types.Timestamp, types.Duration:
		return appendText(b, string(v.ConvertToType(types.StringType).(types.String)))
	case traits.Mapper:
		return appendObject(b, v, depth)
	case traits.Lister:
		b = append(b, '[')
		for i := range v.Size().(types.Int) {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, v.Get(i), depth-1); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	}
	return b, fmt.Errorf("its result contains a value of type %s, which JSON has not", v.Type().TypeName())
}

func appendObject(b []byte, v traits.Mapper, depth int) ([]byte, error) {
	if n := int(v.Size().(types.Int)); n > maxComputed {
		return b, errTooLarge
	}
	members := map[string]ref.Val{}
	var keys []string
	for i := v.Iterator(); i.HasNext() == types.True; {
		key := i.Next()
		name := fmt.Sprint(key.Value())
		if members[name] != nil {
			return b, fmt.Errorf("its result has the key %.40q twice", name)
		}
		members[name] = v.Get(key)
		keys = append(keys, name)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, key); err != nil {
			return b, err
		}
		b = append(b, ':')
		if b, err = appendJSON(b, members[key], depth-1); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendDouble appends the shortest text that is read as the same number.
func appendDouble(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, errInfinite
	}
	text, err := json.Marshal(f)
	return append(b, text...), err
}

func appendText(b []byte, s string) ([]byte, error) {
	to := bytes.NewBuffer(b)
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(s)
	return bytes.TrimSuffix(to.Bytes(), []byte("\n")), err
}
