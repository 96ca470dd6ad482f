package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// problems checks all fields except those in skip, which could not be parsed.
func (c Config) problems(skip map[string]bool) []error {
	var found []error
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if skip[f.Name] {
			continue
		}
		if !valid(f, v.Field(i)) {
			found = append(found, invalidValue(f, format(v.Field(i).Interface())))
		}
	}
	return append(found, c.conflicts()...)
}

// conflicts are invalid combinations of valid values.
func (c Config) conflicts() []error {
	var found []error
	if (c.NATSTLSCert == "") != (c.NATSTLSKey == "") {
		found = append(found, fmt.Errorf("NATS_TLS_CERT and NATS_TLS_KEY belong together: set both or neither"))
	}
	if c.NATSCreds != "" && c.NATSNKey != "" {
		found = append(found, fmt.Errorf("NATS_CREDS and NATS_NKEY exclude each other: set one"))
	}
	if c.NATSJSDomain != "" && c.NATSJSAPIPrefix != "" {
		found = append(found, fmt.Errorf("NATS_JS_DOMAIN and NATS_JS_API_PREFIX exclude each other: set one"))
	}
	if !c.HTTPInsecure && isAddress(c.HTTPAddr) && !isLoopback(c.HTTPAddr) {
		found = append(found, fmt.Errorf("ORDERLY_HTTP_ADDR=%q is beyond the loopback, and everybody who reaches it can create, read and change orders: "+
			"use 127.0.0.1, or put an authenticating proxy in front and set ORDERLY_HTTP_INSECURE=true", c.HTTPAddr))
	}
	if c.Embedded() {
		for _, v := range [][2]string{{"NATS_CREDS", c.NATSCreds}, {"NATS_NKEY", c.NATSNKey},
			{"NATS_TLS_CA", c.NATSTLSCA}, {"NATS_TLS_CERT", c.NATSTLSCert}, {"NATS_JS_DOMAIN", c.NATSJSDomain}, {"NATS_JS_API_PREFIX", c.NATSJSAPIPrefix}} {
			if v[1] != "" {
				found = append(found, fmt.Errorf("%s is set and NATS_URL is empty: set NATS_URL as well", v[0]))
			}
		}
		if c.Replicas == 3 || c.Replicas == 5 {
			found = append(found, fmt.Errorf("ORDERLY_REPLICAS=%d needs that many NATS servers, and the embedded one is only one: set NATS_URL, or ORDERLY_REPLICAS=1", c.Replicas))
		}
	}
	return found
}

// valid checks one field by its tags.
func valid(f reflect.StructField, v reflect.Value) bool {
	if words, ok := f.Tag.Lookup("oneof"); ok {
		for _, word := range strings.Fields(words) {
			if format(v.Interface()) == word {
				return true
			}
		}
		return false
	}
	if lowest, ok := f.Tag.Lookup("min"); ok {
		return within(v.Interface(), lowest, f.Tag.Get("max"))
	}
	s := v.String()
	switch f.Tag.Get("form") {
	case "address":
		return isAddress(s)
	case "hosts":
		return s == "" || areHosts(s)
	case "subject":
		return isSubject(s)
	case "prefix":
		return s == "" || isSubject(s)
	case "token":
		return s == "" || isSubject(s) && !strings.Contains(s, ".")
	case "urls":
		return s == "" || areURLs(s)
	case "name":
		return isName(s)
	}
	return f.Tag.Get("envDefault") == "" || s != ""
}

// within reports lowest ≤ value ≤ highest.
func within(value any, lowest, highest string) bool {
	switch value := value.(type) {
	case int:
		return between(value, lowest, highest, strconv.Atoi)
	case float64:
		return between(value, lowest, highest, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	case time.Duration:
		return between(value, lowest, highest, time.ParseDuration)
	}
	panic(fmt.Sprintf("config: a field of type %T has bounds", value))
}

func between[T cmp.Ordered](value T, lowest, highest string, parse func(string) (T, error)) bool {
	low, errLow := parse(lowest)
	high, errHigh := parse(highest)
	if errLow != nil || errHigh != nil {
		panic(fmt.Sprintf("config: bounds %q and %q of a field are malformed", lowest, highest))
	}
	return low <= value && value <= high
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@") {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isLoopback reports whether only this machine can reach an address. Names other than localhost may resolve to anything.
func isLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// areHosts reports whether the list has names and addresses only, without ports.
func areHosts(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "" || strings.ContainsAny(one, " /@*[]") || strings.Contains(one, ":") && net.ParseIP(one) == nil {
			return false
		}
	}
	return true
}

// isSubject reports whether s is a subject of NATS without wildcards.
func isSubject(s string) bool {
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == '*' || r == '>' || r >= 127 }) {
			return false
		}
	}
	return true
}

func areURLs(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil || u.Hostname() == "" {
			return false
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return false
		}
		if port := u.Port(); port != "" {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return false
			}
		}
	}
	return true
}

// invalidValue is the error about one variable.
func invalidValue(f reflect.StructField, value string) error {
	return fmt.Errorf("%s=%q is not allowed: want %s", f.Tag.Get("env"), redact(f, value), want(f))
}

// want describes the valid values of a variable.
func want(f reflect.StructField) string {
	if words, ok := f.Tag.Lookup("oneof"); ok {
		all := strings.Fields(words)
		return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
	}
	if lowest, ok := f.Tag.Lookup("min"); ok {
		kind := "a number"
		switch f.Type {
		case reflect.TypeFor[time.Duration]():
			kind = "a duration with its unit (ms, s, m, h)"
		case reflect.TypeFor[int]():
			kind = "a whole number"
		}
		return fmt.Sprintf("%s from %s to %s", kind, lowest, f.Tag.Get("max"))
	}
	switch f.Tag.Get("form") {
	case "address":
		return "host:port, for example 127.0.0.1:4222"
	case "subject", "prefix":
		return "a NATS subject without wildcards, for example _INBOX_orderly"
	case "token":
		return "a name without dots and wildcards"
	case "hosts":
		return "names without ports, separated by commas, for example orders.example"
	case "urls":
		return "URLs of NATS servers separated by commas, for example nats://127.0.0.1:4222"
	case "name":
		return fmt.Sprintf("1–%d characters of A–Z a–z 0–9 _ - .", maxNodeID)
	}
	return "a path"
}

// format formats a value as in the environment.
func format(value any) string {
	switch value := value.(type) {
	case slog.Level:
		return strings.ToLower(value.String())
	case time.Duration:
		return shortDuration(value)
	}
	return fmt.Sprint(value)
}

// shortDuration drops the zero units: 720h, not 720h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
