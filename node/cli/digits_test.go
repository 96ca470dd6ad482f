package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestDigits: the data of a signal reach the journal, the next step and every view of the order character by character, from
// the command line and over HTTP: no number becomes a double.
func TestDigits(t *testing.T) {
	t.Parallel()
	const digits = `{"id":9007199254740993,"amount":1.10,"large":1e400,"zero":-0,"b":1,"a":2,"a":3}`
	p, _ := startConfirming(t)
	for id, signal := range map[string]func(){
		"command": func() { ok(t, p.environ, "signal", "command", "confirmed", " "+digits) },
		"http":    func() { p.post(t, "/v1/orders/http/signals/confirmed", digits+"\n") },
	} {
		p.publish(t, sampleOrder(id))
		p.waitStatus(t, id, "parked")
		signal()
		p.waitStatus(t, id, "completed")
		for way, text := range map[string]string{
			"get -o json":        ok(t, p.environ, "get", id, "-o", "json"),
			"GET order":          p.request(t, "GET", "/v1/orders/"+id, "").body,
			"GET order's events": p.request(t, "GET", "/v1/orders/"+id+"/events", "", "Accept", "application/json").body,
		} {
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(text)); err != nil {
				t.Fatalf("%s of %s: %v in %s", way, id, err, text)
			}
			// The signal, the step that it completes, and the step after it, whose result is what it was given.
			for _, want := range []string{`"name":"confirmed","data":` + digits, `"step":"confirm","data":` + digits, `"results":{"confirm":` + digits} {
				if !strings.Contains(compact.String(), want) {
					t.Errorf("%s of %s lacks %s:\n%s", way, id, want, compact.String())
				}
			}
		}
		if stream := p.request(t, "GET", "/v1/orders/"+id+"/events", "", "Accept", "text/event-stream").body; strings.Count(stream, digits) != 3 {
			t.Errorf("the event stream of %s has the data %d times, want 3:\n%s", id, strings.Count(stream, digits), stream)
		}
	}
}
