package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// behaviors are what every transport is tested against. nil: the service never replies.
var behaviors = map[string]*messages.StepReply{
	"done":     {Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: `{"reservation":"r-1"}`}}},
	"rejected": {Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: "out_of_stock", Reason: "no paper"}}},
	"pending": {Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{
		Signal: "wrapped", Deadline: timestamppb.New(time.Unix(1_900_000_000, 0))}}},
	"retry": {Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{
		After: durationpb.New(1500 * time.Millisecond), Reason: "busy"}}},
	"silent": nil,
}

// received is a call as the service saw it.
type received struct {
	request     *messages.StepRequest
	contentType string
	parent      string
	attempt     string
	token       string
}

// backend is one transport under test.
type backend struct {
	encoding messages.Encoding
	// start serves a behavior and returns its target. seen gets each request, unless the service is simulated.
	start func(t *testing.T, behavior string, seen chan<- received) (*gateway.Set, string)
	wire  bool
}

func backends() map[string]backend {
	all := map[string]backend{"sim": {start: startSim}}
	for name, e := range map[string]messages.Encoding{
		"json": messages.Encoding_ENCODING_JSON, "protobuf": messages.Encoding_ENCODING_PROTOBUF,
	} {
		all["nats "+name] = backend{encoding: e, start: startNATS, wire: true}
		all["http "+name] = backend{encoding: e, start: startHTTP, wire: true}
	}
	all["func"] = backend{encoding: messages.Encoding_ENCODING_JSON, start: startFunction, wire: true}
	return all
}

func startSim(t *testing.T, behavior string, _ chan<- received) (*gateway.Set, string) {
	options := map[string]string{"done": "", "rejected": "?reject=1", "pending": "?pending=1", "silent": "?latency=1h"}
	o, ok := options[behavior]
	if !ok {
		t.Skipf("sim: has no behavior %s", behavior)
	}
	return newSet(t, nil, gateway.Config{}), "sim:" + o
}

func startNATS(t *testing.T, behavior string, seen chan<- received) (*gateway.Set, string) {
	nc := connect(t)
	_, err := nc.Subscribe("wrap", func(m *nats.Msg) {
		contentType := m.Header.Get("Content-Type")
		request := decode(t, contentType, m.Data)
		if key := m.Header.Get("Idempotency-Key"); key != request.IdempotencyKey {
			t.Errorf("Idempotency-Key is %q, want %q", key, request.IdempotencyKey)
		}
		seen <- received{request, contentType, m.Header.Get("traceparent"), m.Header.Get("Orderly-Attempt"), m.Header.Get("Orderly-Fencing-Token")}
		if reply := behaviors[behavior]; reply != nil {
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Content-Type": {contentType}}, Data: encode(t, contentType, reply)})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return newSet(t, nc, gateway.Config{}), "nats://wrap"
}

func startHTTP(t *testing.T, behavior string, seen chan<- received) (*gateway.Set, string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		contentType := r.Header.Get("Content-Type")
		request := decode(t, contentType, body)
		if key := r.Header.Get("Idempotency-Key"); key != request.IdempotencyKey {
			t.Errorf("Idempotency-Key is %q, want %q", key, request.IdempotencyKey)
		}
		seen <- received{request, contentType, r.Header.Get("traceparent"), r.Header.Get("Orderly-Attempt"), r.Header.Get("Orderly-Fencing-Token")}
		reply := behaviors[behavior]
		if reply == nil {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(encode(t, contentType, reply))
	}))
	t.Cleanup(s.Close)
	return newSet(t, nil, gateway.Config{}), s.URL + "/wrap"
}

func decode(t *testing.T, contentType string, body []byte) *messages.StepRequest {
	request := &messages.StepRequest{}
	var err error
	if strings.Contains(contentType, "json") {
		if !strings.Contains(string(body), `"idempotency_key"`) {
			t.Errorf("JSON does not use the field names of the .proto: %s", body)
		}
		err = messages.UnmarshalJSON(body, request)
	} else {
		err = proto.Unmarshal(body, request)
	}
	if err != nil {
		t.Errorf("request cannot be read: %v", err)
	}
	return request
}

func encode(t *testing.T, contentType string, reply *messages.StepReply) []byte {
	var b []byte
	var err error
	if strings.Contains(contentType, "json") {
		b, err = messages.MarshalJSON(reply)
	} else {
		b, err = proto.Marshal(reply)
	}
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	for name, b := range backends() {
		for behavior, want := range behaviors {
			if want == nil {
				continue
			}
			t.Run(name+"/"+behavior, func(t *testing.T) {
				seen := make(chan received, 1)
				set, target := b.start(t, behavior, seen)
				c := call(target)
				c.Step.Encoding = b.encoding
				reply, err := callAndWait(t, set, c)
				if err != nil {
					t.Fatal(err)
				}
				if !b.wire {
					if got := result(reply); got != behavior {
						t.Errorf("got %s, want %s", got, behavior)
					}
					return
				}
				if !proto.Equal(reply, want) {
					t.Errorf("got reply %s, want %s", reply, want)
				}
				r := <-seen
				if !proto.Equal(r.request, c.Request) {
					t.Errorf("service saw %s, want %s", r.request, c.Request)
				}
				if r.parent != traceparent {
					t.Errorf("service saw traceparent %q, want %q", r.parent, traceparent)
				}
				if r.attempt != "2" || r.token != "17" {
					t.Errorf("service saw attempt %q and fencing token %q, want 2 and 17", r.attempt, r.token)
				}
				wantType := "application/json"
				if b.encoding == messages.Encoding_ENCODING_PROTOBUF {
					wantType = "application/protobuf"
				}
				if r.contentType != wantType {
					t.Errorf("service saw Content-Type %q, want %q", r.contentType, wantType)
				}
			})
		}
	}
}

func result(r *messages.StepReply) string {
	switch r.GetResult().(type) {
	case *messages.StepReply_Done:
		return "done"
	case *messages.StepReply_Rejected:
		return "rejected"
	case *messages.StepReply_Pending:
		return "pending"
	case *messages.StepReply_Retry:
		return "retry"
	}
	return "none"
}

func TestTimeoutIsTransient(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			set, target := b.start(t, "silent", make(chan received, 1))
			c := call(target)
			c.Step.Timeout = durationpb.New(30 * time.Millisecond)
			_, err := callAndWait(t, set, c)
			_ = requireFailure(t, err, messages.Transient, "did not answer within 30ms")
		})
	}
}

func TestCloseEndsCallsInFlightOnce(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			const n = 20
			seen := make(chan received, n)
			set, target := b.start(t, "silent", seen)
			var ended atomic.Int32
			errs := make(chan error, 2*n)
			for range n {
				set.Do(call(target), func(_ *messages.StepReply, err error) {
					ended.Add(1)
					errs <- err
				})
			}
			if b.wire {
				<-seen
			}
			set.Close()
			if got := ended.Load(); got != n {
				t.Fatalf("done was called %d times when Close returned, want %d", got, n)
			}
			for range n {
				_ = requireFailure(t, <-errs, messages.Transient, gateway.ErrClosed.Error())
			}
			_, err := callAndWait(t, set, call(target))
			_ = requireFailure(t, err, messages.Transient, gateway.ErrClosed.Error())
			set.Close()
		})
	}
}

func TestCloseRacesCalls(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			const n = 200
			set, target := b.start(t, "done", make(chan received, n))
			var ended atomic.Int32
			started := make(chan struct{}, n)
			calls := make(chan struct{})
			go func() {
				defer close(calls)
				for range n {
					set.Do(call(target), func(*messages.StepReply, error) { ended.Add(1) })
					started <- struct{}{}
				}
			}()
			for range n / 4 {
				<-started
			}
			set.Close()
			<-calls
			if got := ended.Load(); got != n {
				t.Errorf("done was called %d times for %d calls", got, n)
			}
		})
	}
}

func TestBadTargetIsPoison(t *testing.T) {
	set := newSet(t, nil, gateway.Config{})
	_, err := callAndWait(t, set, call("gopher://x"))
	_ = requireFailure(t, err, messages.Poison, "wrap", "nats://subject")
	c := call("sim:")
	c.Direction, c.Step.Undo = messages.Undo, ""
	_, err = callAndWait(t, set, c)
	_ = requireFailure(t, err, messages.Poison, "wrap undo", "missing")
	_, err = callAndWait(t, set, call("nats://wrap"))
	_ = requireFailure(t, err, messages.Poison, "no NATS connection")
}
