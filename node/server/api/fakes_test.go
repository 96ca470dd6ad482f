package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBackend is the backend of the API.
type fakeBackend struct {
	mu        sync.Mutex
	unhealthy error
	dead      error
	ready     error
	published []ingress.Outgoing
	// publish is called by Publish, if set.
	publish func(context.Context) error
	// order and follow are called, if set; otherwise o-1 exists and has completed.
	order  func(messages.OrderID) (*timeline.View, error)
	follow func(ctx context.Context, after uint64, yield func([]timeline.Event) error) error
	// list is called, if set; otherwise there is no order.
	list func(index.Query) (*index.Page, error)
}

func (w *fakeBackend) List(_ context.Context, q index.Query) (*index.Page, error) {
	if w.list != nil {
		return w.list(q)
	}
	return &index.Page{Orders: []index.Order{}, Node: "n-1"}, nil
}

func (w *fakeBackend) Healthy() error      { w.mu.Lock(); defer w.mu.Unlock(); return w.unhealthy }
func (w *fakeBackend) Live() error         { w.mu.Lock(); defer w.mu.Unlock(); return w.dead }
func (w *fakeBackend) Room() (int64, bool) { return 1 << 20, true }
func (w *fakeBackend) Ready() error        { w.mu.Lock(); defer w.mu.Unlock(); return w.ready }

func (w *fakeBackend) Publish(ctx context.Context, o ingress.Outgoing) error {
	if w.publish != nil {
		if err := w.publish(ctx); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, o)
	return nil
}

// last is the message published last.
func (w *fakeBackend) last(t *testing.T) ingress.Outgoing {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.published) == 0 {
		t.Fatal("nothing was published")
	}
	return w.published[len(w.published)-1]
}

var storedEvents = []timeline.Event{
	{Number: 1, Sequence: 7, Kind: "accepted", Detail: json.RawMessage(`{}`)},
	{Number: 2, Sequence: 9, Kind: "step_completed", Detail: json.RawMessage(`{"step": "reserve_inventory"}`)},
	{Number: 2, Sequence: 9, Kind: "completed"},
}

func (w *fakeBackend) Order(_ context.Context, id messages.OrderID) (*timeline.View, error) {
	if w.order != nil {
		return w.order(id)
	}
	if id != "o-1" {
		return nil, errors.Join(errors.New("read order"), client.ErrUnknownOrder)
	}
	return &timeline.View{OrderID: "o-1", Status: "completed", Events: storedEvents}, nil
}

func (w *fakeBackend) Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error {
	if w.follow != nil {
		return w.follow(ctx, after, yield)
	}
	if id != "o-1" {
		return client.ErrUnknownOrder
	}
	for _, entry := range [][]timeline.Event{storedEvents[:1], storedEvents[1:]} {
		if entry[0].Sequence > after {
			if err := yield(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve starts an API over the fake backend on a free port.
func serve(t *testing.T, w *fakeBackend, cfg api.Config) (base string, a *api.API) {
	t.Helper()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	a = newAPI(t, w, metrics, cfg)
	start(t, a)
	return "http://" + a.Addr(), a
}

// newAPI makes an API over the fake backend that will listen on a free port.
func newAPI(t *testing.T, w *fakeBackend, metrics http.Handler, cfg api.Config) *api.API {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	a, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: metrics}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// start serves until the end of the test.
func start(t *testing.T, a *api.API) {
	t.Helper()
	if err := a.Start(func(err error) { t.Errorf("serving failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// reply is a response with its body.
type reply struct {
	*http.Response
	body string
}

func do(t *testing.T, method, url, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer, string(text)}
}

// problem checks that the response is a problem with the status and every word, and returns its errors.
func (r reply) problem(t *testing.T, status int, words ...string) []string {
	t.Helper()
	var p struct {
		Title  string   `json:"title"`
		Status int      `json:"status"`
		Detail string   `json:"detail"`
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("%s %s: %d, no problem: %q", r.Request.Method, r.Request.URL, r.StatusCode, r.body)
	}
	if r.StatusCode != status || p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d %s, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, r.Header.Get("Content-Type"), status, r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			t.Errorf("%s %s: no %q in %s", r.Request.Method, r.Request.URL, word, r.body)
		}
	}
	return p.Errors
}

// success checks status and media type.
func (r reply) success(t *testing.T, status int, words ...string) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: %d %s, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, r.Header.Get("Content-Type"), status, r.body)
	}
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			t.Errorf("%s %s: no %q in %s", r.Request.Method, r.Request.URL, word, r.body)
		}
	}
}

// withLocalEnd is the context of a request whose connection ends at ip.
func withLocalEnd(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080})
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func httpRequest(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
