package api_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/api"
)

// A signal is refused exactly if a node would dead-letter it: with its name it may be too large although its data are not.
func TestSignalThatNodesRefuse(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	lists := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, data := range []string{lists(64), objects(64), strings.Repeat(" ", 1000) + "1e400"} {
		do(t, "POST", base+"/v1/orders/o-1/signals/x", data).success(t, 202)
	}
	n := len(w.published)
	for _, data := range []string{lists(65), objects(65), lists(100_000)} {
		do(t, "POST", base+"/v1/orders/o-1/signals/x", data, "Content-Type", "application/json").
			problem(t, 400, "the data of the signal nests deeper than 64 levels")
	}
	large := strconv.Quote(strings.Repeat("x", messages.MaxBody-2))
	do(t, "POST", base+"/v1/orders/o-1/signals/x", large, "Content-Type", "application/json").problem(t, 413, "262144")
	if len(w.published) != n {
		t.Errorf("published %d", len(w.published)-n)
	}
}
