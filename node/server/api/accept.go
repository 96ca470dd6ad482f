package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const mediaStream = "text/event-stream"

// wantsStream reports whether the client asks for server-sent events where there are some: by name, and not less than
// it wants JSON.
func wantsStream(r *http.Request) bool {
	if r.Pattern != eventsPattern || r.Method != http.MethodGet {
		return false
	}
	wanted := accepted(strings.Join(r.Header.Values("Accept"), ","))
	stream := wanted[mediaStream]
	for _, kind := range []string{"application/json", "application/*", "*/*"} { // what says it most exactly counts (RFC 9110)
		if json, said := wanted[kind]; said {
			return stream > 0 && stream >= json
		}
	}
	return stream > 0
}

// accepted are the media ranges of an Accept header with their weights, from 0, not wanted, to 1. What cannot be read is
// left out.
func accepted(header string) map[string]float64 {
	wanted := map[string]float64{}
	for said := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(said)
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
