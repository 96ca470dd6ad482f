package ingress

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// ErrConfigMismatch is wrapped by the complaint about a stream or consumer that exists and is not what it has to be.
var ErrConfigMismatch = errors.New("has another shape")

// freeFields belong to whoever runs the server: they change nothing the protocol relies on.
var freeFields = map[string]bool{
	"Description": true, "Metadata": true, "Placement": true, "Compression": true, "RePublish": true,
	"SampleFrequency": true, "PauseUntil": true,
}

// shapeError names every field in which the configuration found differs from the one wanted.
func shapeError[C any](what string, want, found C) error {
	w, f := reflect.ValueOf(want), reflect.ValueOf(found)
	var differ []string
	for i := range w.NumField() {
		field := w.Type().Field(i)
		if freeFields[field.Name] || same(w.Field(i), f.Field(i)) {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		differ = append(differ, fmt.Sprintf("%s: want %s, found %s", name, show(w.Field(i)), show(f.Field(i))))
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("%s %w (%s): make the configuration and the server agree; neither is changed on its own", what, ErrConfigMismatch,
		strings.Join(differ, "; "))
}

func same(a, b reflect.Value) bool {
	if empty(a) && empty(b) {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func empty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

func show(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "none"
	}
	return fmt.Sprintf("%v", v.Interface())
}
