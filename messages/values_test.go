package messages_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/messages"
)

// manyItems is an order of n empty items in protobuf.
func manyItems(n int) []byte { return bytes.Repeat([]byte{3<<3 | 2, 0}, n) }

func TestValuesAreCountedBeforeDecoding(t *testing.T) {
	inner := bytes.Repeat([]byte{2 << 3, 0}, 10) // quantity, ten times
	item := append([]byte{3<<3 | 2, byte(len(inner))}, inner...)
	for name, body := range map[string][]byte{
		"empty items in protobuf":            manyItems(131_000),
		"the least number too many":          manyItems(messages.MaxValues + 1),
		"fields of items":                    bytes.Repeat(item, 11_000),
		"unknown fields":                     bytes.Repeat([]byte{15 << 3, 0}, messages.MaxValues+1),
		"empty items in JSON":                []byte(`{"items":[` + strings.Repeat("{},", 80_000) + `{}]}`),
		"items that are no objects in JSON":  []byte(`{"items":[` + strings.Repeat("0,", 100_000) + `0]}`),
		"arrays in arrays in JSON":           []byte(`{"items":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`),
		"commas after an escaped quote":      []byte(`{"order_id":"\"","items":[` + strings.Repeat("{},", 80_000) + `{}]}`),
		"protobuf that is cut off after all": append(manyItems(100_000), 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			if len(body) > messages.MaxBody {
				t.Fatalf("the body has %d bytes", len(body))
			}
			var err error
			allocations := testing.AllocsPerRun(1, func() { _, err = messages.DecodeCreated("", body) })
			if !errors.Is(err, messages.ErrBody) || !strings.Contains(err.Error(), "more than 16384 values") {
				t.Errorf("got %v", err)
			}
			if allocations > 100 {
				t.Errorf("decoding makes %.0f allocations", allocations)
			}
		})
	}
}

func TestBodiesWithManyValuesInTexts(t *testing.T) {
	if _, err := messages.DecodeCreated("", manyItems(messages.MaxValues)); err != nil {
		t.Errorf("%d items: %v", messages.MaxValues, err)
	}
	if _, err := messages.DecodeCancel("", []byte(`{"reason":"`+strings.Repeat(`\",[{`, 30_000)+`"}`)); err != nil {
		t.Errorf("brackets and commas in a text: %v", err)
	}
	if _, err := messages.DecodeSignal("", []byte(`{"name":"paid","data":[`+strings.Repeat("1,", 65_000)+`1]}`)); err != nil {
		t.Errorf("data of a signal, which are kept as text: %v", err)
	}
}
