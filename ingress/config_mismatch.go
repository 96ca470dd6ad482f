package ingress

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrConfigMismatch is wrapped by the error about a server, or an existing stream or consumer, whose configuration is not the
// wanted one.
var ErrConfigMismatch = errors.New("has another configuration")

func streamMismatch(want, found jetstream.StreamConfig) error {
	return configMismatch("stream "+want.Name, want.Name, want, found)
}

func consumerMismatch(stream string, want, found jetstream.ConsumerConfig) error {
	return configMismatch(fmt.Sprintf("consumer %s of stream %s", want.Durable, stream), "", want, found)
}

// configMismatch returns an error that names every field whose found value is not accepted, or nil. stream is empty for a
// consumer.
func configMismatch[C any](title, stream string, want, found C) error {
	w, f := reflect.ValueOf(want), reflect.ValueOf(found)
	var differ []string
	for i := range w.NumField() {
		field := w.Type().Field(i)
		if accepts(stream, field.Name, w.Field(i), f.Field(i)) {
			continue
		}
		differ = append(differ, fmt.Sprintf("%s: want %s, found %s", jsonName(field), formatField(w.Field(i)), formatField(f.Field(i))))
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("%s %w (%s): change the node's configuration or the server's; orderly changes neither", title, ErrConfigMismatch,
		strings.Join(differ, "; "))
}

// jsonName is the name of a field in the server's documentation.
func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// equalField treats nil and empty slices and maps as equal.
func equalField(a, b reflect.Value) bool {
	return isEmpty(a) && isEmpty(b) || reflect.DeepEqual(a.Interface(), b.Interface())
}

func isEmpty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

func formatField(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "none"
	}
	return fmt.Sprintf("%v", v.Interface())
}
