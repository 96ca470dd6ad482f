package cli

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/orderly-engine/orderly/node/demo"
)

// bounded are the labels of each metric that exist from the start, with all their values; those of a downstream are the demo plan's.
var bounded = map[string]map[string][]string{
	"orderly_api_refused_total":          {"reason": {"client_limit", "connection", "cross_origin", "host", "node_limit", "slow_body"}},
	"orderly_circuit_opens_total":        {"cause": {"failure_rate", "no_reply", "setup"}, "downstream": {"inventory", "payments", "shipping"}},
	"orderly_dead_letters_total":         {"reason": {"id_mismatch", "poison", "refused", "subject", "too_large", "undecodable", "unknown_type"}},
	"orderly_deliveries_total":           {"type": {"order.cancel", "order.created", "order.retry", "order.signal", "order.skip", "order.wake", "unreadable"}},
	"orderly_downstream_circuit":         {"downstream": {"inventory", "payments", "shipping"}},
	"orderly_downstream_deferred_total":  {"cause": {"full", "outage", "setup"}, "downstream": {"inventory", "payments", "shipping"}},
	"orderly_downstream_waiting":         {"downstream": {"inventory", "payments", "shipping"}},
	"orderly_inbox_lag":                  {"stream": {"ORDERS", "ORDER_TIMERS"}},
	"orderly_orders":                     {"status": {"attention", "cancelled", "compensating", "completed", "parked", "rejected", "running"}},
	"orderly_orders_oldest_age_seconds":  {"status": {"attention", "compensating", "parked", "running"}},
	"orderly_orders_transitions_total":   {"status": {"attention", "cancelled", "completed", "parked", "rejected"}},
	"orderly_settlements_total":          {"outcome": {"dead", "done", "dropped", "later"}},
	"orderly_supervision_restarts_total": {"kind": {"defect", "fenced", "infrastructure", "poison", "rejected", "setup", "transient", "unreadable"}},
}

// TestMetricsAtTheStart: a node has every documented series before its first order, counters at 0. Histograms come with their
// first measurement.
func TestMetricsAtTheStart(t *testing.T) {
	p := demoNode(t)
	documented := documentedMetrics(t)
	var got map[string]*dto.MetricFamily
	eventually(t, "all metrics", func() (bool, any) {
		got = p.metrics(t)
		var missing []string
		for name := range documented {
			if got[name] == nil && !strings.Contains(documented[name], "histogram") {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0 && len(got["orderly_inbox_lag"].GetMetric()) == 2, missing
	})
	for name, family := range got {
		if family.GetType() == dto.MetricType_HISTOGRAM {
			continue
		}
		labels := map[string][]string{}
		series := 1
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if !slices.Contains(labels[l.GetName()], l.GetValue()) {
					labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
				}
			}
			if n := m.GetCounter().GetValue(); n != 0 {
				t.Errorf("%s%v starts at %v", name, m.Label, n)
			}
		}
		for label := range labels {
			slices.Sort(labels[label])
			series *= len(labels[label])
		}
		if want := bounded[name]; !maps.EqualFunc(labels, want, slices.Equal) || len(family.Metric) != series {
			t.Errorf("%s has %d series of %v, want each of %v", name, len(family.Metric), labels, want)
		}
	}
}

// metrics returns the node's own metrics by name.
func (p *process) metrics(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(p.request(t, http.MethodGet, "/metrics", "").body))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(families, func(name string, _ *dto.MetricFamily) bool {
		return !strings.HasPrefix(name, "orderly_") && !strings.HasPrefix(name, "http_")
	})
	return families
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
	body := ""
	eventually(t, "all metrics", func() (bool, any) {
		got := p.metrics(t)
		body = p.request(t, http.MethodGet, "/metrics", "").body
		for name := range got {
			if documented[name] == "" {
				t.Errorf("%s is not in docs/operations.md", name)
			}
		}
		missing := slices.Sorted(maps.Keys(documented))
		missing = slices.DeleteFunc(missing, func(name string) bool {
			return got[name] != nil || name == "orderly_journal_batch_size" // the test of the journal measures batches
		})
		if !strings.Contains(body, `orderly_orders{status="attention"} 1`) {
			missing = append(missing, "the order in attention")
		}
		return len(missing) == 0, missing
	})
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

// documentedMetrics are the names in the table of docs/operations.md, and what it says of each.
func documentedMetrics(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for line := range strings.Lines(document(t, "operations.md")) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`((?:orderly|http)_\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			names[m[1]] = cells[2]
		}
	}
	return names
}

// TestAlerts: the rules of deploy/alerts.yaml name documented metrics and their labels, and each has a case that fires it.
func TestAlerts(t *testing.T) {
	rules, cases := deployed(t, "alerts.yaml"), deployed(t, "alerts_test.yaml")
	documented := documentedMetrics(t)
	for _, alert := range regexp.MustCompile(`alert: (\w+)\n\s+expr: (.+)`).FindAllStringSubmatch(rules, -1) {
		name, expr := alert[1], alert[2]
		if !regexp.MustCompile(`alertname: ` + name + `\n\s+exp_alerts:\n`).MatchString(cases) {
			t.Errorf("no case of alerts_test.yaml fires %s", name)
		}
		known := []string{"instance"} // Prometheus adds it
		for _, m := range regexp.MustCompile(`((?:orderly|http)_\w+)(?:\{(.*?)\})?`).FindAllStringSubmatch(expr, -1) {
			metric, matchers := m[1], m[2]
			if documented[metric] == "" {
				t.Errorf("%s: docs/operations.md has no metric %s", name, metric)
			}
			labels := bounded[metric]
			known = slices.AppendSeq(known, maps.Keys(labels))
			for _, l := range regexp.MustCompile(`(\w+)=~?"(.*?)"`).FindAllStringSubmatch(matchers, -1) {
				for value := range strings.SplitSeq(l[2], "|") {
					if !slices.Contains(labels[l[1]], value) {
						t.Errorf("%s: %s has no %s %q, but %v", name, metric, l[1], value, labels)
					}
				}
			}
		}
		for _, by := range regexp.MustCompile(`by \((\w+)\)`).FindAllStringSubmatch(expr, -1) {
			if !slices.Contains(known, by[1]) {
				t.Errorf("%s: no label %s, but %v", name, by[1], known)
			}
		}
	}
}

func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
