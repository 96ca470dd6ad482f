package reading_test

import (
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

// large has a list of 30,000 numbers, one of 1,000, and texts of 1 MiB, 17 KiB and 15 KiB.
var large = []byte(`{"list":[` + strings.Repeat("1,", 30_000-1) + `1],"short":[` + strings.Repeat("1,", 999) + `1],` +
	`"text":"` + strings.Repeat("a", 1<<20) + `","letter":"` + strings.Repeat("a", 17<<10) + `","word":"` + strings.Repeat("a", 15<<10) + `"}`)

// double returns an expression whose macros double a value in each of 30 steps.
func double(from, step, last string) string {
	return from + strings.Repeat(".map(x, "+step+")", 30) + last
}

// TestCostIsBounded: each expression would take from seconds to more than the age of the world.
func TestCostIsBounded(t *testing.T) {
	for _, condition := range []string{
		`body.list.exists(i, i == 2)`,
		`body.short.exists(i, body.short.exists(j, body.short.exists(k, k == 2)))`,
		`body.short.exists(i, 2 in body.list)`,
		`body.short.exists(i, size(body.text) == 1)`,
		`body.short.exists(i, body.text == body.text + "a")`,
		`body.short.exists(i, body.text + body.text == "a")`,
		`body.short.exists(i, body.text.contains("b"))`,
		`body.short.exists(i, body.word.matches("(a?){30}a{30}b"))`,
		`body.short.exists(i, bytes(body.text) == b"a")`,
		`body.short.map(i, body.list).exists(l, l.exists(i, i == 2))`,
		double(`[body.text]`, `x + x`, `.exists(x, x == "")`),
		double(`[body.short]`, `x + x`, `.exists(x, 2 in x)`),
	} {
		cost, err := reading.Cost(condition, large)
		if err == nil || !strings.Contains(err.Error(), "cost limit") {
			t.Errorf("%.80s: %v, want that the cost limit stops it", condition, err)
		}
		if most := uint64(reading.MaxCost + 150_000); cost > most {
			t.Errorf("%.80s: it cost %d before it was stopped, want at most %d", condition, cost, most)
		}
	}
	// A value that contains the one before it twice, 30 times over, has as many members as 2^30 values, but no size.
	const shared = `[x, x]`
	for condition, want := range map[string]string{
		double(`[[1]]`, shared, `.exists(x, x == x)`):         "it compares lists or objects",
		double(`[[1]]`, shared, `.exists(x, x in dyn([1]))`):  "it compares lists or objects",
		`body.text.startsWith("b") || body.text.matches("a")`: "it takes too long",
		`body.letter.matches("b")`:                            "matches: the text has 17408 bytes: at most 16384",
	} {
		a, err := compile(t, &messages.Reading{DoneWhen: condition}).Read(200, large)
		if err == nil || !strings.HasPrefix(err.Error(), "done_when: "+want) {
			t.Errorf("%.80s: %+v, %v, want %s", condition, a, err, want)
		}
	}
	a, err := compile(t, &messages.Reading{DoneWhen: "true", Data: double(`[[1]]`, shared, "")}).Read(200, large)
	if err == nil || !strings.HasPrefix(err.Error(), "data: its result has more than") {
		t.Errorf("data: %.80v, %v, want that they are too large", a, err)
	}
}

// TestCostLeavesRoom: what plans need is far from the limit.
func TestCostLeavesRoom(t *testing.T) {
	for _, condition := range []string{
		`body.short.exists(i, i == 2) || body.short.all(i, i == 1)`,
		`body.text.contains("b") || body.text.startsWith("a")`,
		`body.word.matches("b")`,
		`body.short.exists(i, 2 in [3, 4, 5]) || 1 in body.short`,
	} {
		if cost, err := reading.Cost(condition, large); err != nil || cost > reading.MaxCost/2 {
			t.Errorf("%s costs %d, %v, want at most half of %d", condition, cost, err, reading.MaxCost)
		}
	}
}
