package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/orderly-engine/orderly/node/server/index"
)

// list answers a page of orders, latest change of status first.
func (a *API) list(w http.ResponseWriter, r *http.Request) *problem {
	q, err := listQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, err.Error())
	}
	page, err := a.deps.Lister.List(r.Context(), q)
	switch {
	case errors.Is(err, index.ErrQuery):
		return newProblem(http.StatusBadRequest, err.Error())
	case err != nil:
		return unavailable(fmt.Sprintf("orders cannot be listed now: %v", err))
	}
	respond(w, http.StatusOK, page)
	return nil
}

// listParams are the parameters of a list.
var listParams = []string{"status", "customer", "reason", "older", "newer", "limit", "cursor"}

// listQuery reads the parameters. Unknown and empty ones are refused: an empty filter would select every order.
func listQuery(raw string) (q index.Query, err error) {
	params, err := url.ParseQuery(raw)
	if err != nil {
		return q, fmt.Errorf("the query is malformed: %w", err)
	}
	for name, values := range params {
		last := values[len(values)-1]
		if name == "status" {
			values = strings.Split(strings.Join(values, ","), ",")
		}
		switch {
		case !slices.Contains(listParams, name):
			return q, fmt.Errorf("unknown parameter %.40q: want %s", name, strings.Join(listParams, ", "))
		case slices.Contains(values, ""):
			return q, fmt.Errorf("%s is empty: want a value, or leave it out", name)
		case name != "status" && len(values) > 1:
			return q, fmt.Errorf("%s occurs %d times: want it once", name, len(values))
		}
		switch name {
		case "status":
			q.Status = values
		case "customer":
			q.Customer = last
		case "reason":
			q.Reason = last
		case "older":
			err = q.Older.UnmarshalText([]byte(last))
		case "newer":
			err = q.Newer.UnmarshalText([]byte(last))
		case "limit":
			if q.Limit, err = strconv.Atoi(last); err != nil || q.Limit < 1 {
				err = fmt.Errorf("limit is %.20q: want 1–%d", last, index.MaxLimit)
			}
		case "cursor":
			q.Cursor = last
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}
