package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query reads the parameters of a request that may have those known, each once. Any other is refused, and so is a query
// that cannot be read to its end, for it was meant to change something: a misspelled dry_run must not cancel an order.
func query(r *http.Request, known ...string) (url.Values, *problem) {
	allowed := "none"
	if len(known) > 0 {
		allowed = strings.Join(known, ", ") + " or none"
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, fmt.Sprintf("the query %.80q cannot be read (%v): the parameters here are %s", r.URL.RawQuery, err, allowed))
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		switch n := len(params[name]); {
		case !slices.Contains(known, name):
			return nil, refusal(http.StatusBadRequest, fmt.Sprintf("%.40q is no parameter here: want %s", name, allowed))
		case n > 1:
			return nil, refusal(http.StatusBadRequest, fmt.Sprintf("%s is there %d times: want it once", name, n))
		}
	}
	return params, nil
}

// withoutQuery is an endpoint that has no parameters.
func withoutQuery(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		if _, p := query(r); p != nil {
			return p
		}
		return e(w, r)
	}
}

// dryRun reads the one parameter of a cancel.
func dryRun(r *http.Request) (bool, *problem) {
	const name = "dry_run"
	params, p := query(r, name)
	if p != nil || !params.Has(name) {
		return false, p
	}
	dry, err := strconv.ParseBool(params.Get(name))
	if err != nil {
		return false, refusal(http.StatusBadRequest, fmt.Sprintf("%s is %.40q: want true or false", name, params.Get(name)))
	}
	return dry, nil
}
