package gateway_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/orderly-engine/orderly/actors/gateway"
)

// Every end of a call is measured under an outcome, and docs/operations.md lists them all.
func TestOutcomesAreMeasuredAndDocumented(t *testing.T) {
	reader := metric.NewManualReader()
	var next answer
	set := newSet(t, nil, gateway.Config{
		Meter: metric.NewMeterProvider(metric.WithReader(reader)).Meter("test"),
		Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return respond(next.status, nil, next.body), nil
		}),
	})
	want := map[string]uint64{}
	for _, c := range []struct {
		answer
		outcome string
	}{
		{answer{status: 200}, "done"},
		{answer{status: 200, body: `{"rejected":{}}`}, "rejected"},
		{answer{status: 422}, "rejected"},
		{answer{status: 202}, "pending"},
		{answer{status: 500, body: `{"retry":{}}`}, "retry"},
		{answer{status: 500}, "failed"},
		{answer{status: 404}, "setup"},
		{answer{status: 200, body: "OK"}, "unreadable"},
	} {
		next = c.answer
		_, _ = callAndWait(t, set, call("http://packing.example/wrap"))
		want[c.outcome]++
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &got); err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, p := range got.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints {
		outcome, _ := p.Attributes.Value("outcome")
		counts[outcome.AsString()] += p.Count
	}
	if !maps.Equal(counts, want) {
		t.Errorf("measured %v, want %v", counts, want)
	}

	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("`orderly_step_duration_seconds`.*outcome \\(([^)]*)\\)").FindSubmatch(text)
	if row == nil {
		t.Fatal("docs/operations.md does not list the outcomes of orderly_step_duration_seconds")
	}
	documented := strings.Split(strings.ReplaceAll(string(row[1]), "`", ""), ", ")
	if slices.Sort(documented); !slices.Equal(documented, slices.Sorted(maps.Keys(want))) {
		t.Errorf("docs/operations.md lists %v, want %v", documented, slices.Sorted(maps.Keys(want)))
	}
}
