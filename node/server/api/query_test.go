package api_test

import (
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/api"
)

// A misspelled, malformed or unknown parameter is refused, and never turns a dry run into a cancel.
func TestQueryRefuses(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for query, words := range map[string]string{
		"dry_run=true;x=1":           "dry_run or none",
		"dry_run=%zz":                "dry_run or none",
		"dry-run=true":               `unknown parameter \"dry-run\": want dry_run or none`,
		"dryrun=true":                "dryrun",
		"Dry_Run=true":               "Dry_Run",
		"dry_run=":                   "want true or false",
		"dry_run":                    "want true or false",
		"dry_run=yes":                `\"yes\": want true or false`,
		"dry_run=true&dry_run=false": "2 times",
		"dry_run=true&x=1":           `\"x\"`,
		"x=1&dry_run=true":           `\"x\"`,
		"dry_run=true&%zz":           "dry_run or none",
	} {
		do(t, "POST", base+"/v1/orders/o-1/cancel?"+query, "").problem(t, 400, words)
	}
	for _, target := range []string{
		"POST /v1/orders", "POST /v1/orders/o-1/retry", "POST /v1/orders/o-1/skip", "POST /v1/orders/o-1/signals/paid",
		"GET /v1/orders/o-1", "GET /v1/orders/o-1/events",
	} {
		method, path, _ := strings.Cut(target, " ")
		body := ""
		if path == "/v1/orders" {
			body = sample
		}
		do(t, method, base+path+"?dry_run=true", body).problem(t, 400, `unknown parameter \"dry_run\": want none`)
		do(t, method, base+path+"?%zz", body).problem(t, 400, "none")
		do(t, method, base+path+"?a;b", body, "Accept", accept).problem(t, 400, "none")
	}
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}
	do(t, "POST", base+"/v1/orders/o-1/retry?", "").success(t, 202)
	for _, no := range []string{"?", "?dry_run=0", "?dry_run=F"} {
		do(t, "POST", base+"/v1/orders/o-1/cancel"+no, "").success(t, 202)
	}
}
