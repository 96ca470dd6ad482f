package ingress_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

var streamNames = []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans, messages.StreamLedger}

// TestFreeFieldsStayAsTheOperatorSetThem: everything that docs/operations.md calls free differs, on three servers.
func TestFreeFieldsStayAsTheOperatorSetThem(t *testing.T) {
	servers := natstest.Cluster(t, func(o *server.Options) { o.Tags = []string{"ssd"} })
	js := servers[0].JetStream()
	ctx := natstest.Context(t)
	want := map[string]jetstream.StreamConfig{}
	for _, cfg := range ingress.WantedStreams(ingress.Streams{}) {
		cfg.Description = "of the operator"
		cfg.Metadata = map[string]string{"team": "orders"}
		cfg.Replicas = 3
		cfg.Placement = &jetstream.Placement{Cluster: "c", Tags: []string{"ssd"}}
		cfg.Compression = jetstream.S2Compression
		cfg.RePublish = &jetstream.RePublish{Source: cfg.Subjects[0], Destination: "copy." + cfg.Name + ".{{wildcard(1)}}"}
		switch cfg.Name {
		case messages.StreamOrders:
			cfg.MaxBytes, cfg.MaxMsgs = 1<<30, 1_000_000
		case messages.StreamDead:
			cfg.MaxAge, cfg.MaxBytes, cfg.MaxMsgs, cfg.MaxMsgsPerSubject = time.Minute, 1<<30, 1_000_000, 100
			cfg.Discard, cfg.Duplicates = jetstream.DiscardOld, time.Minute
		}
		natstest.Eventually(t, "the operator creates "+cfg.Name, func() bool {
			stream, err := js.CreateStream(ctx, cfg)
			if err == nil {
				want[cfg.Name] = stream.CachedInfo().Config
			}
			return err == nil
		})
	}
	for _, replicas := range []int{1, 3} {
		if err := ingress.EnsureStreams(ctx, js, ingress.Streams{Replicas: replicas}); err != nil {
			t.Errorf("%d replicas: %v", replicas, err)
		}
	}
	for _, name := range streamNames {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config; got.Description == "" || !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s was set back:\n got %+v\nwant %+v", name, got, want[name])
		}
	}
}

// TestFreeFieldsAreDocumented holds the table of docs/operations.md to the code: every field of a stream or consumer that is not
// in it is checked.
func TestFreeFieldsAreDocumented(t *testing.T) {
	documented := documentedFreeFields(t)
	for _, name := range append(slices.Clone(streamNames), "consumers") {
		fields := reflect.TypeFor[jetstream.StreamConfig]()
		stream := name
		if name == "consumers" {
			fields, stream = reflect.TypeFor[jetstream.ConsumerConfig](), ""
		}
		for i := range fields.NumField() {
			field := fields.Field(i)
			json, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			got := documented[json][name]
			if got == "" {
				got = "checked"
			}
			if want := ingress.Freedom(stream, field.Name); got != want {
				t.Errorf("docs/operations.md says that %s of %s is %s: it is %s", json, name, got, want)
			}
			delete(documented[json], name)
		}
	}
	for field, columns := range documented {
		for column, cell := range columns {
			if cell != "–" {
				t.Errorf("docs/operations.md has %q for %s of %s, which does not exist", cell, field, column)
			}
		}
	}
}

// documentedFreeFields are the cells of the table by field and column.
func documentedFreeFields(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Streams that you change\n")
	if !ok {
		t.Fatal("docs/operations.md has no section about streams that you change")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var columns []string
	rows := map[string]map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != len(streamNames)+2 || strings.Contains(cells[0], "---") {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		if columns == nil {
			columns = cells[1:]
			continue
		}
		for field := range strings.SplitSeq(cells[0], ",") {
			field = strings.Trim(strings.TrimSpace(field), "`")
			rows[field] = map[string]string{}
			for i, cell := range cells[1:] {
				rows[field][columns[i]] = cell
			}
		}
	}
	return rows
}
