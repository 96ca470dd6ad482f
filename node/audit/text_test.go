package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/audit"
)

func example() *audit.Report {
	return &audit.Report{
		Taken:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Orders:     audit.Orders{Accepted: 1200, Completed: 1180, Rejected: 9, Cancelled: 3, InFlight: 5, Parked: 2, Attention: 1, ParkedFor: audit.ParkedFor{Pending: 1, Outage: 1}},
		Inbox:      audit.Inbox{EverStored: 1240, Waiting: 4, Held: 5, Accepted: 1195, Recorded: 6, DeadLettered: 20, WithoutEffect: 10},
		Journal:    audit.StreamCount{Messages: 6004},
		Dead:       audit.StreamCount{Messages: 18, Removed: 2},
		Timers:     audit.Timers{Stored: 4, Scheduled: 1, Waking: 1, Stale: 2},
		Violations: []audit.Violation{},
		Warnings:   []string{},
		AttentionCauses: []audit.Cause{
			{Step: "pay", Direction: "undo", Kind: "transient", Cause: "no responders\n", Orders: 1},
		},
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := example().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `orders accepted             1200
  completed                 1180
  rejected                     9
  cancelled                    3
  in flight                    5
  parked                       2
    pending                    1  for a signal
    retry                      0  for another attempt
    outage                     1  for a downstream service
  attention                    1  a person must decide

inbox messages ever stored  1240
  waiting                      4  not yet in the journal
  held                         5  in the journal, not yet acknowledged
  accepted                  1195
  recorded                     6
  dead-lettered               20
  without effect              10  duplicates, or about orders that had ended
  history deleted              0  of orders that ended long ago

orders with timers             4
  scheduled                    1
  waking                       1  fired, not yet settled
  stale                        2  no longer parked, they fire without effect
  orphaned                     0  their history was removed, they fire without effect
parked without a timer yet     0  the message that parked them is stored and sets it

journal entries             6004
dead letters                  18  2 more were removed

attention by cause
  1  undo of pay: no responders 

1200 accepted = 1180 completed + 9 rejected + 3 cancelled + 5 in flight + 2 parked + 1 attention
balanced
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTextNamesViolations(t *testing.T) {
	r := example()
	r.ViolationCount = 3
	r.Violations = []audit.Violation{{OrderID: "o-1", Reason: "no node will drive it"}, {Reason: "a dead letter of nothing"}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = "NOT balanced: 3 violations\n  order o-1: no node will drive it\n  a dead letter of nothing\n  and 1 more\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestTextNamesWarnings(t *testing.T) {
	r := example()
	r.WarningCount, r.Warnings = 2, []string{"a foreign dead letter\x1b[31m"}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = "no responders \n\nwarnings\n  a foreign dead letter [31m\n  and 1 more\n\n1200 accepted = "
	if !strings.Contains(b.String(), want) || !strings.HasSuffix(b.String(), "\nbalanced\n") {
		t.Errorf("got\n%s", b.String())
	}
}

func TestBalanced(t *testing.T) {
	r := example()
	if !r.Balanced() {
		t.Error("the example does not balance")
	}
	r.Orders.Completed--
	if r.Balanced() {
		t.Error("an order is missing, and it balances")
	}
}

func TestJSON(t *testing.T) {
	text, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"balanced":true,"taken":"2026-01-02T03:04:05Z",` +
		`"orders":{"accepted":1200,"completed":1180,"rejected":9,"cancelled":3,"in_flight":5,"parked":2,"attention":1,"parked_for":{"pending":1,"retry":0,"outage":1}},` +
		`"inbox":{"ever_stored":1240,"waiting":4,"held":5,"accepted":1195,"recorded":6,"dead_lettered":20,"without_effect":10,"history_deleted":0,"written_off":0,"before_ledger":0,"lost":0,"ledger_floor":0},` +
		`"timers":{"stored":4,"scheduled":1,"waking":1,"stale":2,"orphaned":0,"unscheduled":0},` +
		`"attention_causes":[{"step":"pay","direction":"undo","kind":"transient","cause":"no responders\n","orders":1}],` +
		`"journal":{"messages":6004,"removed":0},"dead_letters":{"messages":18,"removed":2},"offending":0,"offenses":[],"warned":0,"warnings":[],"foreign":0}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
