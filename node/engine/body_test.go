package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// digits is data that a decoder of JSON into numbers of 64 bits would change.
const digits = `{"id":9007199254740993,"amount":1.10,"large":1e400,"zero":-0,"b":1,"a":2,"a":3}`

// request is one call as a service saw it.
type request struct {
	body    []byte
	attempt string
	token   uint64
}

// scriptedService answers the calls of each idempotency key with the replies of a script, one after the other.
type scriptedService struct {
	t      *testing.T
	script map[string][]string
	// silent gets the key of a call that is not answered.
	silent chan string

	mu    sync.Mutex
	calls map[string][]request
}

func (s *scriptedService) answer(m *nats.Msg) {
	key := m.Header.Get(messages.HeaderIdempotencyKey)
	token, err := strconv.ParseUint(m.Header.Get(messages.HeaderFencingToken), 10, 64)
	if err != nil {
		s.t.Errorf("call of %s: fencing token %q", key, m.Header.Get(messages.HeaderFencingToken))
	}
	s.mu.Lock()
	n := len(s.calls[key])
	s.calls[key] = append(s.calls[key], request{bytes.Clone(m.Data), m.Header.Get(messages.HeaderAttempt), token})
	s.mu.Unlock()
	if n >= len(s.script[key]) {
		s.t.Errorf("call %d of %s is not in the script", n+1, key)
		return
	}
	if reply := s.script[key][n]; reply == "" {
		s.silent <- key
	} else if err := m.Respond([]byte(reply)); err != nil {
		s.t.Error(err)
	}
}

func (s *scriptedService) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls[key])
}

// TestBodyOfAKeyNeverChanges: all attempts under a key have the same bytes, whichever node makes them: after a retry, after a
// park, while the step is pending, by the node that takes over, to settle a step in doubt, and of an undo. The data of a step
// reach the next step and its own undo digit by digit.
func TestBodyOfAKeyNeverChanges(t *testing.T) {
	t.Parallel()
	for _, protobuf := range []bool{false, true} {
		t.Run(fmt.Sprintf("protobuf=%t", protobuf), func(t *testing.T) {
			t.Parallel()
			const again, later, undone = `{"retry":{"after":"0.010s"}}`, `{"retry":{"after":"0.500s"}}`, `{"done":{}}`
			services := &scriptedService{t: t, silent: make(chan string, 1), calls: map[string][]request{}, script: map[string][]string{
				"o-1/retried/do": {again, again, `{"done":{"data":` + digits + `}}`},
				"o-1/parked/do":  {later, `{"done":{"data":[1.0]}}`},
				"o-1/pending/do": {`{"pending":{"signal":"paid","deadline":"2020-01-01T00:00:00Z"}}`, `{"pending":{"signal":"paid"}}`},
				"o-1/taken/do":   {"", `{"done":{"data":"t"}}`},
				// It is parked when the cancel arrives, and then called once more to settle it.
				"o-1/doubt/do":     {`{"pending":{"signal":"never"}}`, `{"rejected":{"code":"late"}}`},
				"o-1/taken/undo":   {again, undone},
				"o-1/pending/undo": {later, undone},
				"o-1/parked/undo":  {"", undone},
				"o-1/retried/undo": {again, undone},
			}}
			s := newServer(t)
			nc := s.Connect()
			if _, err := nc.Subscribe("services.>", services.answer); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			p := engine.Plan{Name: "bodies", Version: 1}
			for _, name := range []string{"retried", "parked", "pending", "taken", "doubt"} {
				p.Steps = append(p.Steps, engine.Step{
					Name: name, Do: engine.URL("nats://services.do"), Undo: engine.URL("nats://services.undo"), Protobuf: protobuf,
					Timeout: natstest.Patience, Retry: engine.Retry{Initial: 10 * time.Millisecond, Max: time.Second, Attempts: 10},
				})
			}
			start := func(node string) *running {
				return s.start(p, engine.Config{Node: node, AckWait: 2 * time.Second, Hold: 100 * time.Millisecond})
			}
			one := start("n-1")
			s.publish(created("o-1"))
			natstest.Eventually(t, "the second call of the pending step", func() bool { return services.count("o-1/pending/do") == 2 })
			s.publish(ingress.Outgoing{OrderID: "o-1", Body: &messages.SignalOrder{Name: "paid", Data: " " + digits + " "}})
			natstest.Receive(t, services.silent, "the call without an answer")
			one.Close()
			two := start("n-2")
			natstest.Eventually(t, "the park of the last step", func() bool {
				_, kinds := s.history("o-1")
				return services.count("o-1/doubt/do") == 1 && kinds[len(kinds)-1] == "parked"
			})
			s.publish(ingress.Outgoing{OrderID: "o-1", Body: &messages.CancelOrder{}})
			natstest.Receive(t, services.silent, "the undo without an answer")
			two.Close()
			start("n-3")
			s.untilEmpty()

			entries, kinds := s.history("o-1")
			takeovers := 0
			for _, e := range entries {
				for _, event := range e.Entry.GetEvents() {
					if event.GetResumed().GetCause() == "takeover" {
						takeovers++
					}
				}
			}
			if kinds[len(kinds)-1] != "cancelled" || takeovers < 2 {
				t.Fatalf("%v, with %d takeovers: want two, and the order cancelled", kinds, takeovers)
			}
			results := map[string]string{"retried": digits, "parked": "[1.0]", "pending": digits, "taken": `"t"`}
			var before []string
			for _, step := range p.Steps {
				for _, d := range []messages.Direction{messages.Do, messages.Undo} {
					key := messages.IdempotencyKey("o-1", step.Name, d)
					calls := services.calls[key]
					if len(calls) != len(services.script[key]) {
						t.Errorf("%s is called %d times, want %d", key, len(calls), len(services.script[key]))
					}
					want := map[string]string{}
					if d == messages.Undo {
						want[step.Name] = results[step.Name]
					} else {
						for _, name := range before {
							want[name] = results[name]
						}
					}
					for i, call := range calls {
						if !bytes.Equal(call.body, calls[0].body) {
							t.Errorf("call %d of %s has the body\n%s\nwant that of the first,\n%s", i+1, key, call.body, calls[0].body)
						}
						if i > 0 && call.token <= calls[i-1].token {
							t.Errorf("call %d of %s has the fencing token %d after %d", i+1, key, call.token, calls[i-1].token)
						}
						if got := decodeResults(t, call.body, protobuf); !maps.Equal(got, want) {
							t.Errorf("call %d of %s has the results %v, want %v", i+1, key, got, want)
						}
					}
				}
				before = append(before, step.Name)
			}
			var attempts []string
			for _, call := range services.calls["o-1/retried/do"] {
				attempts = append(attempts, call.attempt)
			}
			if !slices.Equal(attempts, []string{"1", "2", "3"}) {
				t.Errorf("attempts %s, want 1 to 3", strings.Join(attempts, " "))
			}
		})
	}
}

// decodeResults reads the results from the body of a request, with every digit.
func decodeResults(t *testing.T, body []byte, protobuf bool) map[string]string {
	t.Helper()
	results := map[string]string{}
	if protobuf {
		r := &messages.StepRequest{}
		if err := proto.Unmarshal(body, r); err != nil {
			t.Fatal(err)
		}
		maps.Copy(results, r.GetResults())
		return results
	}
	var r struct{ Results map[string]json.RawMessage }
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	for step, data := range r.Results {
		results[step] = string(data)
	}
	return results
}
