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

// query reads the parameters of a request, of which each known one may occur once. Unknown parameters and malformed queries are
// refused: a misspelled dry_run must not cancel an order.
func query(r *http.Request, known ...string) (url.Values, *problem) {
	allowed := "none"
	if len(known) > 0 {
		allowed = strings.Join(known, ", ") + " or none"
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, fmt.Sprintf("the query %.80q is malformed (%v): the parameters here are %s", r.URL.RawQuery, err, allowed))
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		switch n := len(params[name]); {
		case !slices.Contains(known, name):
			return nil, newProblem(http.StatusBadRequest, fmt.Sprintf("unknown parameter %.40q: want %s", name, allowed))
		case n > 1:
			return nil, newProblem(http.StatusBadRequest, fmt.Sprintf("%s occurs %d times: want it once", name, n))
		}
	}
	return params, nil
}

// withoutQuery wraps an endpoint that has no parameters.
func withoutQuery(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		if _, p := query(r); p != nil {
			return p
		}
		return e(w, r)
	}
}

// dryRun reads the only parameter of a cancel.
func dryRun(r *http.Request) (bool, *problem) {
	const name = "dry_run"
	params, p := query(r, name)
	if p != nil || !params.Has(name) {
		return false, p
	}
	dry, err := strconv.ParseBool(params.Get(name))
	if err != nil {
		return false, newProblem(http.StatusBadRequest, fmt.Sprintf("%s is %.40q: want true or false", name, params.Get(name)))
	}
	return dry, nil
}
