package ingress

import (
	"strings"
	"time"
)

const ackPrefix = "$JS.ACK."

// stamp is what the server writes into the reply subject of a delivery.
type stamp struct {
	deliveries uint64
	sequence   uint64
	stored     time.Time
}

// readStamp reads the two forms of reply subject:
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>[.<token>]
func readStamp(reply string) (stamp, bool) {
	rest, ok := strings.CutPrefix(reply, ackPrefix)
	if !ok {
		return stamp{}, false
	}
	names := 2
	if strings.Count(rest, ".") != 6 {
		names = 4
	}
	for range names {
		if _, rest, ok = strings.Cut(rest, "."); !ok {
			return stamp{}, false
		}
	}
	var numbers [4]uint64
	for i := range numbers {
		var digits string
		if digits, rest, ok = strings.Cut(rest, "."); !ok || digits == "" {
			return stamp{}, false
		}
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return stamp{}, false
			}
			numbers[i] = numbers[i]*10 + uint64(c-'0')
		}
	}
	return stamp{deliveries: numbers[0], sequence: numbers[1], stored: time.Unix(0, int64(numbers[3]))}, true
}
