package servicecheck_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/servicecheck"
)

// check runs the checks and returns the report.
func check(t *testing.T, nc *nats.Conn, cfg servicecheck.Config) *servicecheck.Report {
	t.Helper()
	caller := servicecheck.NewCaller(nc, gateway.Config{})
	defer caller.Close()
	cfg.Delay = time.Millisecond
	report, err := servicecheck.Run(t.Context(), caller, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// named lists the checks with a verdict.
func named(r *servicecheck.Report, v servicecheck.Verdict) []string {
	var names []string
	for _, c := range r.Checks {
		if c.Verdict == v {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestFaultsAreFound: each fault of a service fails the checks that are about it, and no other ones.
func TestFaultsAreFound(t *testing.T) {
	all := []string{
		"answers", "same answer", "other body", "stale call", "undo", "undo again", "do after undo", "same key at once", "unknown fields",
		"undo of nothing", "late do",
	}
	for _, c := range []struct {
		fault        fault
		fail, unsure []string
		remaining    int
	}{
		{none, nil, nil, 0},
		{lateConflicts, nil, nil, 0},
		{crashing, nil, []string{"other body", "stale call", "do after undo", "late do"}, 0},
		{hiccups, nil, nil, 0},
		{unreadable, all[:1], all[1:], 0},
		{wrongPath, all[:1], all[1:], 0},
		{silent, all[:1], all[1:], 0},
		{busy, nil, all, 0},
		// What must be refused is refused, like every order.
		{rejecting, nil, []string{"other body", "stale call", "do after undo", "late do"}, 0},
		{forgetful, []string{"same answer", "other body", "do after undo", "same key at once", "late do"}, nil, 1},
		{racy, []string{"same key at once"}, nil, 0},
		{anyBody, []string{"other body"}, nil, 0},
		{anyToken, []string{"stale call"}, nil, 0},
		{stubborn, []string{"undo", "undo again", "do after undo", "undo of nothing", "late do"}, nil, 4},
		{undoOnce, []string{"undo again"}, nil, 0},
		{resurrecting, []string{"do after undo"}, nil, 0},
		{strictFields, []string{"unknown fields"}, nil, 0},
		{strictUndo, []string{"undo of nothing", "late do"}, nil, 1},
		{noTombstone, []string{"late do"}, nil, 1},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			url := newService(c.fault).serveHTTP(t)
			timeout := natstest.Patience
			if c.fault == silent {
				timeout = 10 * time.Millisecond
			}
			report := check(t, nil, servicecheck.Config{Do: url + "/do", Undo: url + "/undo", Timeout: timeout})
			failed, unsure := named(report, servicecheck.Fail), named(report, servicecheck.Unknown)
			if !slices.Equal(failed, c.fail) || !slices.Equal(unsure, c.unsure) || report.Failed != len(failed) || report.Unknown != len(unsure) || report.Remaining != c.remaining {
				t.Errorf("failed %q, unknown %q, %d remain: want %q, %q, %d", failed, unsure, report.Remaining, c.fail, c.unsure, c.remaining)
			}
			var names []string
			for _, check := range report.Checks {
				names = append(names, check.Name)
				if check.Why == "" || check.Tried == "" || check.Came == "" || (check.Advice == "") != (check.Verdict == servicecheck.OK) {
					t.Errorf("check %+v", check)
				}
				if t.Failed() {
					t.Logf("%-7s %s: %s", check.Verdict, check.Name, check.Came)
				}
			}
			if !slices.Equal(names, all) {
				t.Errorf("checks are %q", names)
			}
		})
	}
}

// TestCheckOverNATSAndWithoutUndo: statuses of NATS services count as those of HTTP, and a step without undo has its own way to
// see a stale call.
func TestCheckOverNATSAndWithoutUndo(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	for f, want := range map[fault][]string{none: nil, lateConflicts: nil, anyToken: {"stale call"}, anyBody: {"other body"}, wrongPath: {"answers"}} {
		subject := fmt.Sprintf("service%d.call", len(f))
		newService(f).serveNATS(t, nc, subject)
		for _, undo := range []string{"", "nats://" + subject} {
			report := check(t, nc, servicecheck.Config{Do: "nats://" + subject, Undo: undo, Timeout: natstest.Patience})
			if failed := named(report, servicecheck.Fail); !slices.Equal(failed, want) {
				t.Errorf("%s, undo %q: failed %q, want %q: %+v", f, undo, failed, want, report.Checks)
			}
			if undo == "" && f == none && (len(report.Checks) != 6 || report.Remaining != 3) {
				t.Errorf("without an undo: %d checks, %d orders remain", len(report.Checks), report.Remaining)
			}
		}
	}
}

// TestCheckEndsWithItsContext: an interrupted check ends at once and keeps what it has.
func TestCheckEndsWithItsContext(t *testing.T) {
	url := newService(none).serveHTTP(t)
	caller := servicecheck.NewCaller(nil, gateway.Config{})
	defer caller.Close()
	ctx, cancel := context.WithCancel(t.Context())
	report, err := servicecheck.Run(ctx, caller, servicecheck.Config{Do: url, Undo: url, Each: func(c servicecheck.Check) {
		if c.Name == "same answer" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(report.Checks) != 2 {
		t.Errorf("got %v and %d checks", err, len(report.Checks))
	}
}

// TestReportText: a check that is not ok says why it matters and what to do.
func TestReportText(t *testing.T) {
	var b strings.Builder
	for _, c := range []servicecheck.Check{
		{Name: "a", Verdict: servicecheck.OK, Tried: "a do", Came: "200 OK\x1b[2J", Why: "because", Advice: ""},
		{Name: "b", Verdict: servicecheck.Fail, Tried: "an undo", Came: "404", Why: "because", Advice: "answer"},
	} {
		if err := c.WriteText(&b); err != nil {
			t.Fatal(err)
		}
	}
	r := servicecheck.Report{Orders: "check-1", Checks: make([]servicecheck.Check, 3), Failed: 1, Unknown: 1, Remaining: 2}
	if err := r.WriteSummary(&b); err != nil {
		t.Fatal(err)
	}
	const want = `ok       a do: 200 OK [2J
fail     an undo: 404
         why: because
         what to do: answer

3 checks: 1 ok, 1 failed, 1 unknown; the test orders are check-1-…
what the service did for 2 of them may remain
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
