package cli

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestListByCause: causes that differ in numbers and ids are one, which selects its orders in a list and with --all.
func TestListByCause(t *testing.T) {
	t.Parallel()
	const group = "nats://payments.authorize: answered …: request … timed out after …"
	p, _ := startWithCauses(t,
		"nats://payments.authorize: answered 503: request a1f3 timed out after 2s", attentionCause,
		"nats://payments.authorize: answered 500: request 77 timed out after 1m30s", attentionCause,
		"nats://payments.authorize: answered 503: request b2 timed out after 450ms", "panic: oh",
	)
	text := strings.Split(strings.TrimSpace(ok(t, p.environ, "list", "--status", "attention", "--by", "cause")), "\n")
	var rows []string
	for _, line := range text {
		if cells := strings.Fields(line); len(cells) > 3 {
			rows = append(rows, cells[0]+" "+cells[1]+" "+strings.Join(cells[3:], " "))
		}
	}
	if want := []string{"ORDERS OLDEST CAUSE", "3 o-0 " + group, "2 o-1 " + attentionCause, "1 o-5 panic: oh"}; !reflect.DeepEqual(rows, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(text, "\n"), strings.Join(want, "\n"))
	}
	got := decode[causeList](t, ok(t, p.environ, "list", "--status", "attention", "--by", "cause", "--limit", "2", "-o", "json"))
	if len(got.Causes) != 2 || got.Causes[0].Cause != group || got.Causes[0].Orders != 3 || got.Causes[0].Since.IsZero() || got.Others != 1 || got.Node != "node-1" {
		t.Errorf("got %+v", got)
	}
	if text := ok(t, p.environ, "list", "--by", "cause", "--status", "parked"); text != "no orders\n" {
		t.Errorf("got %q", text)
	}
	p.waitListed(t, 3, "--reason", group)
	if text, want := ok(t, p.environ, "retry", "--all", "--reason", group), "3 orders to retry\n     3  "+group+"\nnothing is sent"; !strings.HasPrefix(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestListByCauseRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		`--by is "step": want cause`: {"--by", "step"},
		"--by is empty":              {"--by", ""},
		"leave one out":              {"--by", "cause", "--cursor", "abc"},
	} {
		requireFailure(t, command(t, nil, "", append([]string{"list"}, args...)...), exitUsage, want)
	}
}

// Orders are counted by cause; beyond the bound on causes, and beyond the limit, as others. A cause that all orders share is
// shown as it is.
func TestCauseGroups(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var c causeGroups
	for i, reason := range []string{"answered 503", "answered 404", "panic 7: oh", "panic 7: oh", "order o-4: fenced"} {
		c.add(fmt.Sprintf("o-%d", i), reason, at.Add(-time.Duration(i)*time.Minute))
	}
	groups, others := c.top(0)
	if want := []causeGroup{
		{2, "answered …", "o-1", at.Add(-time.Minute)},
		{2, "panic 7: oh", "o-3", at.Add(-3 * time.Minute)},
		{1, "order o-4: fenced", "o-4", at.Add(-4 * time.Minute)},
	}; !reflect.DeepEqual(groups, want) || others != 0 {
		t.Errorf("got %+v and %d others\nwant %+v", groups, others, want)
	}
	if groups, others := c.top(1); len(groups) != 1 || others != 3 {
		t.Errorf("%d groups and %d others, want 1 and 3", len(groups), others)
	}
	for i := range 2 * maxGroups {
		c.add("o", strings.Repeat("x", i+1), at)
	}
	if groups, others := c.top(0); len(groups) != maxGroups || others != maxGroups+3 {
		t.Errorf("%d groups and %d others, want %d groups", len(groups), others, maxGroups)
	}
}
