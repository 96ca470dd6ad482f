package cli

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/node/demo"
)

// tracing collects what a node exports over OTLP.
type tracing struct {
	mu    sync.Mutex
	spans []*trace.Span
}

func collect(t *testing.T) *tracing {
	t.Helper()
	c := &tracing{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(body, request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

// spanTree lists the spans of a trace, each after its parent: kind, name, and how deep below the root it is.
func (c *tracing) spanTree(traceID, root string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var told []string
	var tell func(parent, indent string)
	tell = func(parent, indent string) {
		var children []*trace.Span
		for _, s := range c.spans {
			if hex.EncodeToString(s.GetTraceId()) == traceID && hex.EncodeToString(s.GetParentSpanId()) == parent {
				children = append(children, s)
			}
		}
		slices.SortFunc(children, func(a, b *trace.Span) int {
			return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
		})
		for _, s := range children {
			kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
			told = append(told, indent+kind+" "+s.GetName())
			tell(hex.EncodeToString(s.GetSpanId()), indent+"  ")
		}
	}
	tell(root, "")
	return told
}

// of counts the spans of a trace.
func (c *tracing) of(traceID string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == traceID {
			n++
		}
	}
	return n
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

// steps are the spans of an order without failures.
const steps = `consumer process order.created
  client do reserve_inventory
    server inventory.reserve
  client do authorize_payment
    server payments.authorize
  client do create_shipment
    server shipping.create
  client do capture_payment
    server payments.capture`

// TestOneTrace: one trace contains the client's span, the delivery, the steps and the services.
func TestOneTrace(t *testing.T) {
	spans := collect(t)
	p := demoNode(t)
	m := &nats.Msg{Subject: "ORDER.o-1", Header: header("traceparent", parent), Data: []byte(sampleOrder("o-1"))}
	if _, err := p.jetStream(t).PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	v := p.waitStatus(t, "o-1", "completed")
	if v.TraceID != traceID {
		t.Errorf("trace %q, want %s", v.TraceID, traceID)
	}
	for _, e := range v.Events[1:] {
		if !strings.HasPrefix(e.Traceparent, "00-"+traceID+"-") || strings.Contains(e.Traceparent, spanID) {
			t.Errorf("%s was journaled with traceparent %q: want the node's span in the client's trace", e.Kind, e.Traceparent)
		}
	}
	p.stop()
	p.wait(t)
	if got := strings.Join(spans.spanTree(traceID, spanID), "\n"); got != steps {
		t.Errorf("got\n%s\nwant\n%s", got, steps)
	}
	if n := spans.of(traceID); n != 9 {
		t.Errorf("%d spans in the trace: want 9", n)
	}
}

// TestTraceOverHTTP: the trace starts with the request.
func TestTraceOverHTTP(t *testing.T) {
	spans := collect(t)
	p := demoNode(t)
	answer := p.post(t, "/v1/orders", sampleOrder("o-1"), "traceparent", parent)
	if answer.code != http.StatusAccepted {
		t.Fatalf("%d: %s", answer.code, answer.body)
	}
	p.waitStatus(t, "o-1", "completed")
	p.stop()
	p.wait(t)
	want := "server POST /v1/orders\n  " + strings.ReplaceAll(steps, "\n", "\n  ")
	if got := strings.Join(spans.spanTree(traceID, spanID), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTraceOfARejection: the trace contains the undo.
func TestTraceOfARejection(t *testing.T) {
	spans := collect(t)
	p := demoNode(t)
	m := &nats.Msg{Subject: "ORDER.o-1", Header: header("traceparent", parent), Data: []byte(orderWith("o-1", demo.CustomerDeclined, "sku-1"))}
	if _, err := p.jetStream(t).PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	p.waitStatus(t, "o-1", "rejected")
	p.stop()
	p.wait(t)
	want := `consumer process order.created
  client do reserve_inventory
    server inventory.reserve
  client do authorize_payment
    server payments.authorize
  client undo reserve_inventory
    server inventory.release`
	if got := strings.Join(spans.spanTree(traceID, spanID), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestMalformedTraceContext: an order with a malformed trace context completes.
func TestMalformedTraceContext(t *testing.T) {
	collect(t)
	p := demoNode(t)
	js := p.jetStream(t)
	for id, odd := range map[string]string{"o-1": "nonsense", "o-2": strings.Repeat("0", 4000), "o-3": "00-\xff-ü-01"} {
		m := &nats.Msg{Subject: "ORDER." + id, Header: header("traceparent", odd), Data: []byte(sampleOrder(id))}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		p.waitStatus(t, id, "completed")
	}
}

// answer is that of an HTTP request.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (p *process) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return p.request(t, http.MethodPost, path, body, headers...)
}

func (p *process) request(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}
