package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const mediaStream = "text/event-stream"

// wantsStream reports whether the request is for the event stream: the endpoint has one, and Accept names its media type with
// at least the weight of JSON.
func wantsStream(r *http.Request) bool {
	if r.Pattern != eventsPattern || r.Method != http.MethodGet {
		return false
	}
	wanted := acceptWeights(strings.Join(r.Header.Values("Accept"), ","))
	stream := wanted[mediaStream]
	for _, kind := range []string{"application/json", "application/*", "*/*"} { // the most specific range counts (RFC 9110)
		if json, ok := wanted[kind]; ok {
			return stream > 0 && stream >= json
		}
	}
	return stream > 0
}

// acceptWeights returns the media ranges of an Accept header with their weights, 0 to 1. Malformed ones are omitted.
func acceptWeights(header string) map[string]float64 {
	wanted := map[string]float64{}
	for item := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, weighted := params["q"]; weighted {
			if weight, err = strconv.ParseFloat(q, 64); err != nil || !(weight >= 0 && weight <= 1) {
				continue
			}
		}
		wanted[kind] = max(wanted[kind], weight)
	}
	return wanted
}
