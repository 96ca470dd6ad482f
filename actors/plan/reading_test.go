package plan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

const readingYAML = `
name: order
version: 2
steps:
  - name: authorize_payment
    do: nats://payments.authorize
    reply:
      done_when: body.status == "ok"
      rejected_when: |
        body.code == "declined"
        || body.code == "fraud"
      pending_when: status == 202
      retry_when: body.busy
      data: body.payment
      code: body.code
      reason: body.message
    undo: nats://payments.void
    undo_reply: {done_when: body.voided}
    nothing_to_undo: [already_voided, "404", 410]
`

const readingJSON = `{"name": "order", "version": 2, "steps": [{"name": "authorize_payment", "do": "nats://payments.authorize",
  "reply": {"doneWhen": "body.status == \"ok\"", "rejectedWhen": "body.code == \"declined\"\n|| body.code == \"fraud\"\n",
    "pendingWhen": "status == 202", "retryWhen": "body.busy", "data": "body.payment", "code": "body.code", "reason": "body.message"},
  "undo": "nats://payments.void", "undoReply": {"done_when": "body.voided"}, "nothingToUndo": ["already_voided", "404", "410"]}]}`

func TestReadingsAreRead(t *testing.T) {
	want := plan.WithDefaults(&messages.Plan{Name: "order", Version: 2, Steps: []*messages.Step{{
		Name: "authorize_payment", Do: "nats://payments.authorize", Undo: "nats://payments.void",
		Reply: &messages.Reading{
			DoneWhen: `body.status == "ok"`, RejectedWhen: "body.code == \"declined\"\n|| body.code == \"fraud\"\n",
			PendingWhen: "status == 202", RetryWhen: "body.busy", Data: "body.payment", Code: "body.code", Reason: "body.message",
		},
		UndoReply:     &messages.Reading{DoneWhen: "body.voided"},
		NothingToUndo: []string{"already_voided", "404", "410"},
	}}})
	for name, text := range map[string]string{"plan.yaml": readingYAML, "plan.json": readingJSON} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := plan.Load(path, knownTarget); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, want)
		}
	}
	if err := plan.Validate(want, knownTarget); err != nil {
		t.Error(err)
	}
}

func TestReadingProblemsNameLineStepAndField(t *testing.T) {
	got := problemsOf(t, `
name: order
version: 1
steps:
  - name: pay
    do: nats://pay
    reply:
      done_when: body.status = "ok"
      rejected_when: 7
      code: status
      datum: body
    undo_reply: {done_when: "true"}
    nothing_to_undo: [gone]
  - name: ship
    do: nats://ship
    reply: {}
    undo: nats://unship
    undo_reply:
      data: response.body
      reason: body.text
    nothing_to_undo: [gone, " gone", gone, "a\nb", 4.5, [404]]
  - name: send
    do: nats://send
    reply: body.ok
    undo: nats://unsend
    nothing_to_undo: "404"
`)
	want := []string{
		`line 8: step pay: reply.done_when: token recognition error at: '= ' (column 13), extraneous input '"ok"' expecting the end (column 15)`,
		`line 9: step pay: reply.rejected_when: "7" is not a text`,
		`line 10: step pay: reply.code: its result is of type int: want string`,
		`line 11: step pay: reply: field "datum" is unknown: want done_when, rejected_when, pending_when, retry_when, data, code, reason`,
		`line 12: step pay: undo_reply: the step has no undo`,
		`line 13: step pay: nothing_to_undo: the step has no undo`,
		`line 16: step ship: reply: it has no condition: want done_when, rejected_when, pending_when or retry_when`,
		`line 19: step ship: undo_reply.data: there is no variable or function 'response' (column 1)`,
		`line 20: step ship: undo_reply.reason: it is never used without rejected_when or retry_when`,
		`line 21: step ship: nothing_to_undo: "4.5" is not a text or a status`,
		`line 24: step send: reply: want fields (done_when, rejected_when, pending_when, retry_when, data, code, reason)`,
		`line 26: step send: nothing_to_undo: want a list of codes`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestNothingToUndoIsAListOfCodes(t *testing.T) {
	for want, codes := range map[string][]string{
		"nothing_to_undo: \"\": want codes of 1–128 bytes": {"gone", ""},
		`nothing_to_undo: " gone": want codes`:             {" gone"},
		`nothing_to_undo: "a\nb": want codes`:              {"a\nb"},
		`nothing_to_undo: "gone" is given twice`:           {"gone", "404", "gone"},
		`want codes of 1–128 bytes`:                        {strings.Repeat("x", 129)},
		`there are 33 codes: at most 32`:                   strings.Split(strings.Repeat("x", 33), ""),
	} {
		p := plan.Builtin()
		p.Steps[0].NothingToUndo = codes
		if err := plan.Validate(p, knownTarget); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", codes, err, want)
		}
	}
	p := plan.Builtin()
	p.Steps[0].NothingToUndo = []string{"already_voided", "404", strings.Repeat("ü", 64)}
	if err := plan.Validate(p, knownTarget); err != nil {
		t.Error(err)
	}
}
