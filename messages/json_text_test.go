package messages_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/messages"
)

func TestNormalizeJSON(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		" \t\r\n{ \"a\" : [ 1 , 2 ] } ":  `{"a":[1,2]}`,
		"9007199254740993":               "9007199254740993",
		"1.10":                           "1.10",
		"1e400":                          "1e400",
		"-0":                             "-0",
		"-0.0E+00":                       "-0.0E+00",
		`{"b":1,"a":2,"a":3}`:            `{"b":1,"a":2,"a":3}`,
		`" \u0041\/<>&` + "\u2028" + `"`: `" \u0041\/<>&` + "\u2028" + `"`,
		`"\ud83d\ude00\uD83D\uDE00"`:     `"\ud83d\ude00\uD83D\uDE00"`,
		`"\ud83d"`:                       `"\ufffd"`,
		`"\ude00\ud83dx\ud83d\n"`:        `"\ufffd\ufffdx\ufffd\n"`,
		`"\ud83d\ud83d\ude00"`:           `"\ufffd\ud83d\ude00"`,
		"{\"\xff\":\"a\xc3\"}":           "{\"\ufffd\":\"a\ufffd\"}",
		"\"\xed\xa0\x80\"":               "\"\ufffd\ufffd\ufffd\"",
		strings.Repeat("[", 64) + strings.Repeat("]", 64):   strings.Repeat("[", 64) + strings.Repeat("]", 64),
		`"` + strings.Repeat("x", messages.MaxBody-2) + `"`: `"` + strings.Repeat("x", messages.MaxBody-2) + `"`,
		strings.Repeat(" ", messages.MaxBody) + "1":         "1",
	} {
		if got, err := messages.NormalizeJSON(text); err != nil || got != want {
			t.Errorf("%.40q became %.40q, %v: want %.40q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		" ": "is not JSON", "1 2": `unexpected "2" at byte 2`, "[1,]": "is not JSON", "{\"a\"}": "is not JSON", "'a'": "is not JSON", "{a:1}": "is not JSON",
		"01": "is not JSON", "+1": "is not JSON", ".5": "is not JSON", "1.": "is not JSON", "1e": "is not JSON", "-": "is not JSON", "NaN": "is not JSON",
		"\"\n\"": "is not JSON", `"\x"`: "is not JSON", `"\u12g4"`: "is not JSON", `"\`: "is not JSON", `"a`: "unexpected end", "nul": "is not JSON",
		strings.Repeat("[", 65) + strings.Repeat("]", 65):        "nests deeper than 64 levels",
		strings.Repeat(`{"a":`, 1_000_000):                       "nests deeper than 64 levels",
		`"` + strings.Repeat("x", messages.MaxBody-1) + `"`:      "has 262145 bytes: at most 262144 are allowed",
		`"` + strings.Repeat("\xff", messages.MaxBody/3) + `xx"`: "at most 262144",
	} {
		if got, err := messages.NormalizeJSON(text); err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q became %.40q, %v: want an error with %q", text, got, err, want)
		}
	}
}

// FuzzNormalizeJSON: exactly JSON is accepted, within the limits; the result has the same value, is valid and is not changed
// again.
func FuzzNormalizeJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,-0.5e+3,true,false,null,"\u0041\ud800\udc00\ud800 é"]}`, "[[]]", " {} ", "\"\xff\\\"\"", "1e400", "[01]", `{"a":1,"a":{}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := messages.NormalizeJSON(text)
		if err != nil {
			if limit := strings.Contains(err.Error(), "levels") || strings.Contains(err.Error(), "bytes:"); !limit && json.Valid([]byte(text)) {
				t.Fatalf("JSON is refused: %v", err)
			}
			return
		}
		if text == "" {
			return
		}
		if !json.Valid([]byte(text)) || !json.Valid([]byte(got)) || !utf8.ValidString(got) {
			t.Fatalf("%q became %q: want JSON from JSON", text, got)
		}
		if !reflect.DeepEqual(valueOf(t, []byte(text)), valueOf(t, []byte(got))) {
			t.Fatalf("%q became %q, another value", text, got)
		}
		if again, err := messages.NormalizeJSON(got); err != nil || again != got {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
		// Written into a message and read again it is the same.
		body, err := messages.MarshalJSON(&messages.SignalOrder{Name: "s", Data: got})
		if err != nil {
			t.Fatal(err)
		}
		m := &messages.SignalOrder{}
		if err := messages.UnmarshalJSON(body, m); err != nil || m.Data != got {
			t.Fatalf("%q became %q, %v", got, m.Data, err)
		}
	})
}

func TestNewJSON(t *testing.T) {
	for want, v := range map[string]any{"": nil, "null": (*int)(nil), `{"a":1.10}`: json.RawMessage(`{"a": 1.10}`), "[7]": []int{7}} {
		if got, err := messages.NewJSON(v); err != nil || got != want {
			t.Errorf("%v became %q, %v: want %q", v, got, err, want)
		}
	}
	if got, err := messages.NewJSON(make(chan int)); err == nil {
		t.Errorf("a channel became %q", got)
	}
}
