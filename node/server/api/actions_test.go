package api_test

import (
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/api"
)

// Data that is small and flat enough as JSON may be too large or too deep as protobuf: a signal is refused exactly if a node
// would dead-letter it.
func TestSignalThatNodesRefuse(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	lists := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, data := range []string{lists(49), objects(32)} {
		do(t, "POST", base+"/v1/orders/o-1/signals/x", data).success(t, 202)
	}
	n := len(w.published)
	for _, data := range []string{lists(50), lists(99), objects(33), objects(98)} {
		do(t, "POST", base+"/v1/orders/o-1/signals/x", data, "Content-Type", "application/json").
			problem(t, 400, "nodes refuse this signal", "nest lists at most 49 levels deep and objects 32")
	}
	large := "[" + strings.Repeat("1,", 100_000) + "1]"
	do(t, "POST", base+"/v1/orders/o-1/signals/x", large, "Content-Type", "application/json").problem(t, 413, "262144")
	if len(w.published) != n {
		t.Errorf("published %d", len(w.published)-n)
	}
}
