package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Entry describes one variable.
type Entry struct {
	// Name of the variable.
	Name string `json:"name"`
	// Value in effect, with secrets replaced by asterisks.
	Value string `json:"value"`
	// Default, or a description of a computed one.
	Default string `json:"default"`
	// Allowed describes the valid values, with their unit.
	Allowed string `json:"allowed"`
	// Meaning in one line.
	Meaning string `json:"meaning"`
	// Secret: the value is never shown in full.
	Secret bool `json:"secret"`
}

// hidden replaces a secret.
const hidden = "***"

// Redacted lists every variable with its value in effect, in the order of the documentation.
func (c Config) Redacted() []Entry {
	v := reflect.ValueOf(c)
	entries := make([]Entry, 0, v.NumField())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		entries = append(entries, Entry{
			Name:    f.Tag.Get("env"),
			Value:   redact(f, format(v.Field(i).Interface())),
			Default: defaultOf(f),
			Allowed: allowedOf(f),
			Meaning: f.Tag.Get("help"),
			Secret:  f.Tag.Get("secret") != "",
		})
	}
	return entries
}

func defaultOf(f reflect.StructField) string {
	if shown := f.Tag.Get("shown"); shown != "" {
		return shown
	}
	return f.Tag.Get("envDefault")
}

// allowedOf is want for a table.
func allowedOf(f reflect.StructField) string {
	if words, ok := f.Tag.Lookup("oneof"); ok {
		return strings.Join(strings.Fields(words), ", ")
	}
	if lowest, ok := f.Tag.Lookup("min"); ok {
		unit := f.Tag.Get("unit")
		if f.Type == reflect.TypeFor[time.Duration]() {
			unit = "duration"
		}
		return fmt.Sprintf("%s–%s, %s", lowest, f.Tag.Get("max"), unit)
	}
	switch f.Tag.Get("form") {
	case "address":
		return "host:port"
	case "subject", "prefix":
		return "subject without wildcards"
	case "token":
		return "name without dots"
	case "hosts":
		return "host names"
	case "urls":
		return "URLs"
	case "name":
		return "A–Z a–z 0–9 _ - ."
	}
	return "path"
}

// redact replaces the secret parts of a value.
func redact(f reflect.StructField, value string) string {
	switch {
	case value == "" || f.Tag.Get("secret") == "":
		return value
	case f.Tag.Get("secret") == "userinfo":
		return RedactURLs(value)
	}
	return hidden
}

// RedactURLs hides the user information of server URLs separated by commas, and drops their queries and fragments, also in URLs
// that are malformed.
func RedactURLs(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		if end := strings.IndexAny(part, "?#"); end >= 0 && !strings.Contains(part[end:], "@") {
			part = part[:end]
			parts[i] = part
		}
		if at := strings.LastIndexByte(part, '@'); at >= 0 {
			scheme := ""
			if before, _, ok := strings.Cut(part, "://"); ok {
				scheme = before + "://"
			}
			parts[i] = scheme + hidden + part[at:]
			part = part[at+1:]
		}
		if strings.Contains(list, "@") && !areURLs(part) {
			return hidden
		}
	}
	return strings.Join(parts, ",")
}
