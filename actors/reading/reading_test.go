package reading_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

func compile(t testing.TB, r *messages.Reading) *reading.Program {
	t.Helper()
	p, err := reading.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCondition has the conditions of a plan, an answer, and the result: true, false, or a part of the error.
func TestCondition(t *testing.T) {
	for _, c := range []struct{ condition, body, want string }{
		{`body.status == "ok"`, `{"status":"ok"}`, "true"},
		{`body.status == "ok"`, `{"status":"failed"}`, "false"},
		{`body.success`, `{"success":true}`, "true"},
		{`body.success`, `{"success":false}`, "false"},
		{`status == 200 && body.ok`, `{"ok":true}`, "true"},
		{`status == 201 && body.ok`, `{"ok":true}`, "false"},
		{`status in [200, 201]`, `{}`, "true"},
		{`body == "ok"`, `"ok"`, "true"},
		{`body[0].id == 7`, `[{"id":7}]`, "true"},
		{`body["x-y"] == 1`, `{"x-y":1}`, "true"},
		{`"error" in body`, `{"error":null}`, "true"},
		{`body.code in ["a", "b"]`, `{"code":"b"}`, "true"},
		{`body.errors.exists(e, e.code == "declined")`, `{"errors":[{"text":"?"},{"code":"declined"}]}`, "true"},
		{`body.message.matches("(?i)declin")`, `{"message":"Card DECLINED"}`, "true"},
		{`timestamp(body.at) > timestamp("2020-01-01T00:00:00Z")`, `{"at":"2021-01-01T00:00:00Z"}`, "true"},

		// The body lacks a place: false, also where that is denied.
		{`body.status == "ok"`, `{}`, "false"},
		{`body.status != "ok"`, `{}`, "false"},
		{`!(body.status == "ok")`, `{}`, "false"},
		{`body.status == "ok"`, `[]`, "false"},
		{`body.status == "ok"`, `null`, "false"},
		{`body.status == "ok"`, `7`, "false"},
		{`body.error.code == "x"`, `{"error":null}`, "false"},
		{`body.error.code == "x"`, `{"error":"x"}`, "false"},
		{`body[0] == 1`, `[]`, "false"},
		{`body[0] == 1`, `{"a":1}`, "false"},
		{`body.items[3].ref == 1`, `{"items":[{"ref":1}]}`, "false"},
		{`body.errors.exists(e, e.code == "x")`, `{"errors":[{"text":"?"}]}`, "false"},
		{`has(body.a.b)`, `{"a":null}`, "false"},
		{`body.a == 1 || body.b == 2`, `{"b":2}`, "true"},
		{`body.success`, `{"success":null}`, "false"},

		// Numbers.
		{`body.n == 9007199254740993`, `{"n":9007199254740993}`, "true"},
		{`body.n == 9007199254740993`, `{"n":9007199254740992}`, "false"},
		{`body.n > 9223372036854775806`, `{"n":9223372036854775807}`, "true"},
		{`body.n == 18446744073709551615u`, `{"n":18446744073709551615}`, "true"},
		{`body.n == 18446744073709551615u`, `{"n":18446744073709551614}`, "false"},
		{`body.n == -9007199254740993`, `{"n":-9007199254740992}`, "false"},
		{`body.n > 18446744073709551615u`, `{"n":30000000000000000000}`, "true"},
		{`body.n == 1`, `{"n":1.0}`, "true"},
		{`body.n == 1.10`, `{"n":1.1}`, "true"},
		{`body.n < 5`, `{"n":-1e999}`, "true"},
		{`status > 199.5`, `{}`, "true"},

		// What cannot be evaluated is an error.
		{`body.n < 5`, `{"n":"4"}`, "done_when: the values do not fit"},
		{`body.success`, `{"success":"yes"}`, "done_when: its result is of type string: want true or false"},
		{`1 / body.n == 1`, `{"n":0}`, "done_when: division by zero"},
		{`int(body.n) == 1`, `{"n":"one"}`, "done_when: type conversion error"},
		{`size(body.errors) == 0`, `{"errors":null}`, "done_when: the values do not fit"},
		{`body.tags == ["a"]`, `{"tags":["a"]}`, "done_when: it compares lists or objects"},
		{`body.o != {"a": 1}`, `{"o":{"a":1}}`, "done_when: it compares lists or objects"},
		{`body.tags in [["a"]]`, `{"tags":["a"]}`, "done_when: it compares lists or objects"},
		{`body.tags == []`, `{"tags":[]}`, "true"},
		{`body.tags == []`, `{"tags":["a"]}`, "false"},
		{`body.o != {}`, `{"o":{"a":1}}`, "true"},
	} {
		a, err := compile(t, &messages.Reading{DoneWhen: c.condition}).Read(200, []byte(c.body))
		got := "false"
		switch {
		case err != nil:
			got = err.Error()
		case a != nil:
			got = "true"
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s of %s: %s, want %s", c.condition, c.body, got, c.want)
		}
	}
}

func TestConditionsAreAskedInOrder(t *testing.T) {
	all := &messages.Reading{DoneWhen: "body.d", RejectedWhen: "body.r", PendingWhen: "body.p", RetryWhen: "body.t"}
	for body, want := range map[string]reading.Outcome{
		`{"d":true,"r":true,"p":true,"t":true}`: reading.Done,
		`{"r":true,"p":true,"t":true}`:          reading.Rejected,
		`{"d":false,"p":true,"t":true}`:         reading.Pending,
		`{"t":true}`:                            reading.Retry,
		// A condition that is not asked makes no error.
		`{"d":true,"r":"?"}`: reading.Done,
	} {
		if a, err := compile(t, all).Read(200, []byte(body)); err != nil || a == nil || a.Outcome != want {
			t.Errorf("%s: %+v, %v, want outcome %d", body, a, err, want)
		}
	}
	if a, err := compile(t, all).Read(200, []byte(`{"d":1,"r":true}`)); err == nil {
		t.Errorf("an error of the first condition: %+v", a)
	}
	for _, body := range []string{`{}`, ``, ` `, `<html>`, `{"d":true} x`, `{"d":true`, `{"d":tru}`} {
		if a, err := compile(t, all).Read(200, []byte(body)); a != nil || err != nil {
			t.Errorf("%q: %+v, %v, want no opinion", body, a, err)
		}
	}
}

func TestData(t *testing.T) {
	const body = `{"p": {"id":"p-1", "amount":1.10, "big":123456789012345678901234567890}, "items":[{"ref":7.0}],"x-y":"é","z":null,"n":9007199254740993}`
	for _, c := range []struct{ data, want string }{
		// Paths: the text as it is.
		{"", body},
		{"body", body},
		{"body.p", `{"id":"p-1", "amount":1.10, "big":123456789012345678901234567890}`},
		{"body.p.big", "123456789012345678901234567890"},
		{"(body).items[0].ref", "7.0"},
		{`body["x-y"]`, `"é"`},
		{"body.z", "null"},
		{"body.none", ""},
		{"body.z.none", ""},
		{"body.items[1]", ""},
		{"body.items.ref", ""},
		{"body.p[0]", ""},
		// Computed.
		{`{"id": body.p.id, "amount": body.p.amount, "n": body.n}`, `{"amount":1.1,"id":"p-1","n":9007199254740993}`},
		{`body.items.map(i, i.ref)`, `[7]`},
		{`body.p.big + 0.0`, `1.2345678901234568e+29`},
		{`[1u, true, null, "<&>", b"ab", duration("90s"), timestamp("2020-01-01T00:00:00Z")]`, `[1,true,null,"<&>","YWI=","90s","2020-01-01T00:00:00Z"]`},
		{`{1: "a", true: "b"}`, `{"1":"a","true":"b"}`},
		{`body.none + 1`, ""},
		{`null`, "null"},
		{`body.n + "x"`, "error: data: the values do not fit"},
		{`type(body)`, "error: data: its result contains a value of type type"},
		{`[1.0 / 0.0]`, "error: data: its result contains a number that is not finite"},
		{`{1: "a", "1": "b"}`, `error: data: its result has the key "1" twice`},
	} {
		a, err := compile(t, &messages.Reading{DoneWhen: "true", Data: c.data}).Read(200, []byte(body))
		if err != nil {
			a = &reading.Answer{Data: "error: " + err.Error()}
		}
		if a.Data != c.want && (err == nil || !strings.HasPrefix(a.Data, c.want)) {
			t.Errorf("%s: %s, want %s", c.data, a.Data, c.want)
		}
	}
}

func TestCodeAndReason(t *testing.T) {
	r := &messages.Reading{RejectedWhen: "status == 400", RetryWhen: "status == 200", Code: "body.code", Reason: "body.why"}
	for body, want := range map[string]reading.Answer{
		`{"code":"declined","why":"no cover"}`: {Code: "declined", Reason: "no cover"},
		`{"code":1001,"why":["a","b"]}`:        {Code: "1001", Reason: `["a","b"]`},
		`{"code":null}`:                        {},
		`[]`:                                   {},
	} {
		want.Outcome = reading.Rejected
		if a, err := compile(t, r).Read(400, []byte(body)); err != nil || *a != want {
			t.Errorf("%s: %+v, %v, want %+v", body, a, err, want)
		}
	}
	if a, err := compile(t, r).Read(200, []byte(`{"code":"busy","why":"later"}`)); err != nil || *a != (reading.Answer{Outcome: reading.Retry, Reason: "later"}) {
		t.Errorf("retry: %+v, %v", a, err)
	}
	for field, r := range map[string]*messages.Reading{
		"code: ":   {RejectedWhen: "true", Code: `body.code + "x"`},
		"reason: ": {RejectedWhen: "true", Reason: `body.code + "x"`},
	} {
		if a, err := compile(t, r).Read(400, []byte(`{"code":1}`)); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%+v, %v, want an error of %s", a, err, field)
		}
	}
}

func TestCompileNamesTheMistake(t *testing.T) {
	for want, r := range map[string]*messages.Reading{
		"it has no condition: want done_when, rejected_when, pending_when or retry_when":             {},
		"done_when: there is no variable or function 'foo' (column 1)":                               {DoneWhen: "foo.bar == 1"},
		"done_when: there is no variable or function 'now' (column 4)":                               {DoneWhen: "now()"},
		"rejected_when: its result is of type string: want bool":                                     {RejectedWhen: `"declined"`},
		"pending_when: its result is of type int: want bool":                                         {PendingWhen: `status`},
		"retry_when: mismatched input 'the end' (column 15)":                                         {RetryWhen: "body.status =="},
		"code: its result is of type int: want string":                                               {RejectedWhen: "true", Code: "status"},
		"reason: its result is of type null_type: want string":                                       {RejectedWhen: "true", Reason: "null"},
		"data: it is never used without done_when":                                                   {RejectedWhen: "true", Data: "body"},
		"code: it is never used without rejected_when":                                               {DoneWhen: "true", Code: "body.code"},
		"reason: it is never used without rejected_when or retry_when":                               {DoneWhen: "true", Reason: "body.code"},
		"done_when: there is no variable or function 'x' (line 2, column 1)":                         {DoneWhen: "body.a ==\nx"},
		"done_when: it has 1025 bytes: at most 1024 are allowed":                                     {DoneWhen: `"` + strings.Repeat("x", 1023) + `"`},
		"done_when: expression recursion limit exceeded":                                             {DoneWhen: strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60)},
		"done_when: error parsing regexp: missing closing )":                                         {DoneWhen: `body.a.matches("(")`},
		"done_when: the pattern \"a{300}\" has":                                                      {DoneWhen: `body.a.matches("a{300}")`},
		"done_when: the pattern of matches must be a literal":                                        {DoneWhen: `body.a.matches(body.b)`},
		"done_when: the pattern of matches must be a literal: a":                                     {DoneWhen: `matches(body.a, body.b)`},
		"done_when: there is no variable or function 'a' (column 1); data: there is no variable or ": {DoneWhen: "a", Data: "b"},
	} {
		_, err := reading.Compile(r)
		var all reading.Errors
		if !errors.As(err, &all) || !strings.HasPrefix(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\r\t") {
			t.Errorf("%v: %v, want one line that begins with %s", r, err, want)
		}
	}
	_, err := reading.Compile(&messages.Reading{DoneWhen: "a", RejectedWhen: "b", PendingWhen: "c", RetryWhen: "d", Data: "e", Code: "f", Reason: "g"})
	if all := (reading.Errors)(nil); !errors.As(err, &all) || len(all) != 7 {
		t.Errorf("seven mistakes: %v", err)
	}
	compile(t, &messages.Reading{DoneWhen: strings.Repeat("body.a == 1 || ", 60) + "true", Data: "body" + strings.Repeat(".a", 40)})
}

func TestCache(t *testing.T) {
	var c reading.Cache
	of := func(n int) *messages.Reading {
		return &messages.Reading{DoneWhen: "status == " + string(rune('0'+n)), Data: "body"}
	}
	first, err := c.Compile(of(1))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.Compile(of(1)); again != first {
		t.Error("the second Compile did not share the Program of the first")
	}
	if other, _ := c.Compile(of(2)); other == first {
		t.Error("another Reading has the same Program")
	}
	if _, err := c.Compile(&messages.Reading{}); err == nil {
		t.Error("no error")
	}
	if _, err := c.Compile(&messages.Reading{}); err == nil {
		t.Error("no error the second time")
	}
	// A full cache begins again. Readings that do not compile fill it quickly.
	for i := range reading.MaxCached {
		_, _ = c.Compile(&messages.Reading{Code: strings.Repeat("x", i+1)})
	}
	if again, _ := c.Compile(of(1)); again == first {
		t.Errorf("a cache of %d still had the first", reading.MaxCached)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []struct{ condition, data, body string }{
		{`body.status == "ok"`, `body.payment`, `{"status":"ok","payment":{"id":"p-1","amount":1.10}}`},
		{`body.items.exists(i, i.n in [1, 2] && i.t.matches("a+"))`, `body.items.map(i, {"n": i.n})`, `{"items":[{"n":1,"t":"aa"}]}`},
		{`[body].map(a, [a, a]).map(b, b + b).exists(c, size(c) > 1)`, `body[0]`, `[[]]`},
		{`true`, `{"a": body, "b": [timestamp("2020-01-01T00:00:00Z"), b"x"]}`, `"\ud800\u0000"`},
		{`body > 1.5 && body != 18446744073709551615u`, `-body`, `1e400`},
	} {
		f.Add(seed.condition, seed.data, 200, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, condition, data string, status int, body []byte) {
		p, err := reading.Compile(&messages.Reading{DoneWhen: condition, Data: data})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		// An operation is counted when it is done: one may exceed the limit by what it takes itself.
		if cost, _ := reading.Cost(condition, body); cost > 2*reading.MaxCost+uint64(len(body)) {
			t.Fatalf("%s of %d bytes cost %d", condition, len(body), cost)
		}
		a, err := p.Read(status, body)
		switch {
		case err != nil && strings.Contains(err.Error(), "internal error"):
			t.Fatal(err)
		case err != nil && strings.ContainsAny(err.Error(), "\n\r"):
			t.Fatalf("more than one line: %q", err)
		case a != nil && a.Data != "" && !json.Valid([]byte(a.Data)):
			t.Fatalf("data %q are not JSON", a.Data)
		case a != nil && data == "" && a.Data != string(body):
			t.Fatalf("data %q of body %q", a.Data, body)
		}
	})
}
