package api_test

import (
	"testing"

	"github.com/orderly-engine/orderly/node/server/api"
)

// TestCrossSiteRequests: requests that a page of another site can make a browser send are refused, except reads, whose
// responses browsers hide from the page.
func TestCrossSiteRequests(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	strangers := [][]string{
		{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"}, // another port of this host
		{"Origin", "https://evil.example"},                              // an old browser
		{"Origin", "null"},                                              // a page in a sandbox
	}
	for _, path := range []string{"", "/o-1/cancel", "/o-1/retry", "/o-1/skip", "/o-1/signals/paid"} {
		text := ""
		if path == "" {
			text = sample
		}
		url := base + "/v1/orders" + path
		for _, header := range strangers {
			do(t, "POST", url, text, append(header, "Content-Type", "text/plain")...).problem(t, 403, "other web sites")
		}
		if len(w.published) > 0 {
			t.Fatalf("%s: published %+v", path, w.published)
		}
		do(t, "POST", url, text, "Content-Type", "text/plain").success(t, 202)
		do(t, "POST", url, text, "Content-Type", "text/plain", "Origin", base).success(t, 202)
		w.published = nil
	}
	do(t, "GET", base+"/v1/orders/o-1", "", strangers[0]...).success(t, 200)
}

// TestBodyEncoding: a compressed body and charsets other than UTF-8 are refused.
func TestBodyEncoding(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for _, coding := range []string{"gzip", "identity, br", "x"} {
		do(t, "POST", base+"/v1/orders", sample, "Content-Encoding", coding).problem(t, 415, "content encoding")
		do(t, "POST", base+"/v1/orders/o-1/cancel", "", "Content-Encoding", coding).problem(t, 415, "content encoding")
	}
	for _, kind := range []string{"application/json", "text/plain", "application/protobuf", "application/x-www-form-urlencoded"} {
		for _, charset := range []string{"utf-16", "ISO-8859-1", `"latin1"`} {
			do(t, "POST", base+"/v1/orders", sample, "Content-Type", kind+"; charset="+charset).problem(t, 415, "want utf-8")
		}
	}
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}
	for _, header := range [][]string{
		{"Content-Encoding", "identity"}, {"Content-Encoding", ""}, {"Content-Type", `application/json; charset="UTF-8"`},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Encoding", "Identity, identity"},
	} {
		do(t, "POST", base+"/v1/orders", sample, header...).success(t, 202)
	}
	// Nothing is in every charset.
	do(t, "POST", base+"/v1/orders/o-1/cancel", "", "Content-Type", "text/plain; charset=ISO-8859-1").success(t, 202)
}
