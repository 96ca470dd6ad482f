package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/servicecheck"
)

// TestCheckService: a service that keeps the rules passes; one that answers done to everything fails, and the report says why.
func TestCheckService(t *testing.T) {
	server := natstest.Start(t)
	nc := server.Connect()
	s, err := demo.Start(nc, demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	environ := []string{"NATS_URL=" + server.ClientURL()}
	args := func(more ...string) []string {
		return append([]string{"check-service", "--yes", "--timeout", natstest.Patience.String()}, more...)
	}
	good := args("--do", "nats://inventory.reserve", "--undo", "nats://inventory.release", "--order", write(t, "order.json", sampleOrder("o-1")), "--encoding", "protobuf", "--step", "reserve_inventory")
	if out := ok(t, environ, good...); strings.Count(out, "\nok ") != 10 || !strings.Contains(out, "\n11 checks: 11 ok, 0 failed, 0 unknown; ") || !strings.Contains(out, `"pieces":2`) {
		t.Errorf("got\n%s", out)
	}
	report := decode[servicecheck.Report](t, ok(t, environ, append(good, "-o", "json")...))
	if len(report.Checks) != 11 || report.Failed+report.Unknown+report.Remaining != 0 || report.Do != "nats://inventory.reserve" || report.Checks[0].Verdict != servicecheck.OK {
		t.Errorf("got %+v", report)
	}
	if calls := s.Order(report.Orders + "-a"); len(calls) != 2 || calls[0].Key != report.Orders+"-a/reserve_inventory/do" {
		t.Errorf("the service was called with %+v", calls)
	}

	if _, err := nc.Subscribe("yes", func(m *nats.Msg) { _ = m.Respond([]byte(`{"done":{}}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p := command(t, environ, "", args("--do", "nats://yes", "--undo", "nats://yes")...)
	for _, want := range []string{
		"ok       a do for a new order: {\"done\":{}} → done\n", "fail     the do after its undo: {\"done\":{}} → done\n         why: ", "\n         what to do: ",
		"\n11 checks: 7 ok, 4 failed, 0 unknown; ",
	} {
		if p.code != exitFailed || p.err != "" || !strings.Contains(p.out, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", p.code, want, p.out, p.err)
		}
	}
	requireFailure(t, command(t, noServer, "", args("--do", "nats://yes")...), exitFailed, "cannot reach NATS")
	requireFailure(t, command(t, noServer, "{}{}", args("--do", "sim:", "--order", "-")...), exitFailed, "-: want one order")
	requireFailure(t, command(t, noServer, "{", args("--do", "sim:", "--order", "-")...), exitFailed, "-:1: broken JSON")
}

// TestConfirmation: at a terminal a call is made only after a yes. The null device looks like a terminal without an answer.
func TestConfirmation(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var out, errs syncBuffer
	code := execute(t.Context(), []string{"check-service", "--do", "sim:"}, terminal{in: null, out: &out, err: &errs, environ: noServer})
	if want := "the service performs the step for up to 4 test orders, and nothing undoes it. Continue? [y/N] orderly: nothing was called\n"; code != exitFailed || out.String() != "" || errs.String() != want {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, " y": true, "n\n": false, "\n": false, "yesterday\n": false} {
		if confirmed(strings.NewReader(answer)) != want {
			t.Errorf("answer %q: want %t", answer, want)
		}
	}
}
