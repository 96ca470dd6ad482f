package ingress

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// ErrConfigMismatch is wrapped by the error about a server, or an existing stream or consumer, whose configuration is not the
// wanted one.
var ErrConfigMismatch = errors.New("has another configuration")

// ignoredFields may differ: they change nothing the protocol relies on, and belong to the operator of the server.
var ignoredFields = map[string]bool{
	"Description": true, "Metadata": true, "Placement": true, "Compression": true, "RePublish": true,
	"SampleFrequency": true, "PauseUntil": true,
}

// configMismatch returns an error that names every field in which the configurations differ, or nil.
func configMismatch[C any](name string, want, found C) error {
	w, f := reflect.ValueOf(want), reflect.ValueOf(found)
	var differ []string
	for i := range w.NumField() {
		field := w.Type().Field(i)
		if ignoredFields[field.Name] || equalField(w.Field(i), f.Field(i)) {
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		differ = append(differ, fmt.Sprintf("%s: want %s, found %s", key, formatField(w.Field(i)), formatField(f.Field(i))))
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("%s %w (%s): change the node's configuration or the server's; orderly changes neither", name, ErrConfigMismatch,
		strings.Join(differ, "; "))
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
