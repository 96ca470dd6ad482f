package cli

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/demo"
)

// seldom are metrics that appear with the first event they count, which this test does not cause.
var seldom = []string{
	"orderly_journal_append_fenced_total", "orderly_journal_append_lost_total", "orderly_journal_batch_size",
	"orderly_journal_foreign_total",
	"orderly_orders_fenced_total", "orderly_orders_takeovers_total", "orderly_supervision_escalations_total",
	"orderly_supervision_give_ups_total", "orderly_supervision_restarts_total", "orderly_supervision_crashes_total", "orderly_settlements_ignored_total", "orderly_ack_progress_total",
	"orderly_index_entries_skipped_total",
	"orderly_api_refused_total", "orderly_circuit_opens_total", "orderly_downstream_deferred_total",
}

// TestMetrics: /metrics has the metrics that docs/operations.md documents, and no others.
func TestMetrics(t *testing.T) {
	p := withPlan(t, threeAttemptsPlan)
	s := services(t, p, demo.Behaviors{})
	p.publish(t, samples("o-done"), "--wait")
	p.publish(t, orderWith("o-no", demo.CustomerDeclined, "sku-1"), "--wait")
	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Fail: 1}}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, samples("o-stuck"))
	p.waitStatus(t, "o-stuck", "attention")
	if _, err := p.jetStream(t).Publish(t.Context(), "ORDER.x", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	p.waitDeadLetters(t, 1)
	p.request(t, http.MethodGet, "/v1/orders/o-done/events", "", "Accept", "text/event-stream")

	p.request(t, http.MethodGet, "/v1/orders/o-done", "")
	documented := documentedMetrics(t)
	var there []string
	body := ""
	eventually(t, "all metrics", func() (bool, any) {
		body = p.request(t, http.MethodGet, "/metrics", "").body
		there = nil
		for _, m := range regexp.MustCompile(`(?m)^# TYPE ((?:orderly|http)_\w+) `).FindAllStringSubmatch(body, -1) {
			there = append(there, m[1])
		}
		var missing []string
		for _, name := range documented {
			if !slices.Contains(there, name) && !slices.Contains(seldom, name) {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0, missing
	})
	for _, name := range there {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
	for _, want := range []string{
		`orderly_orders_accepted_total 3`,
		`orderly_orders_transitions_total{status="attention"} 1`,
		`orderly_orders_transitions_total{status="completed"} 1`,
		`orderly_orders_transitions_total{status="rejected"} 1`,
		`orderly_step_retries_total 2`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	for _, id := range []string{"o-done", "o-stuck", "o-no"} {
		if strings.Contains(body, id) {
			t.Errorf("order %s is in the metrics", id)
		}
	}
}

// documentedMetrics are the names in the table of docs/operations.md.
func documentedMetrics(t *testing.T) (names []string) {
	t.Helper()
	text := document(t, "operations.md")
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`((?:orderly|http)_\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			names = append(names, m[1])
		}
	}
	return names
}
