package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/api"
)

// Events are streamed if Accept names the stream with at least the weight of JSON.
func TestAccept(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{})
	for header, stream := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"text/*":                              false,
		"application/json":                    false,
		"text/event-stream":                   true,
		"Text/Event-Stream; charset=utf-8":    true,
		"text/event-stream;q=0":               false,
		"text/event-stream;q=0.1":             true,
		"text/event-stream, application/json": true,
		"application/json, text/event-stream;q=0.1":                               false,
		"application/json;q=0.1, text/event-stream;q=.2":                          true,
		"application/*, text/event-stream;q=0.9":                                  false,
		"text/event-stream;q=0.9, */*;q=0.1":                                      true,
		"text/event-stream;q=0.1, */*":                                            false,
		"*/*, application/json;q=0.1, text/event-stream;q=0.5":                    true,
		"*/*;q=0.1, application/*;q=0.8, text/event-stream;q=0.5":                 false,
		"application/json;q=0, text/event-stream;q=0":                             false,
		"text/html, text/event-stream;q=0.9":                                      true,
		"text/event-stream;q=nan":                                                 false,
		"text/event-stream;q=2":                                                   false,
		"text/event-stream;q=-1, application/json":                                false,
		"text/event-stream;q=x":                                                   false,
		"broken//, text/event-stream":                                             true,
		"application/json;q=1.000, text/event-stream;q=0.999":                     false,
		"text/event-stream;q=0.9, text/event-stream;q=0.2, application/json;q=.5": true,
		"text/event-stream\napplication/json;q=0.5":                               true,
		"application/json;q=0.5\ntext/event-stream":                               true,
		"application/json\ntext/event-stream;q=0.5":                               false,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/orders/o-1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Accept"] = strings.Split(header, "\n") // a line of the header each
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Error(err)
		}
		_ = answer.Body.Close()
		want := "application/json"
		if stream {
			want = accept
		}
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != want {
			t.Errorf("Accept: %q: %d %s, want %s", header, answer.StatusCode, got, want)
		}
	}
}
