package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// prefix is ours: a variable that begins with it and is none of ours is a typing error.
const prefix = "ORDERLY_"

// injected matches what Kubernetes puts into every pod beside a service whose name begins with "orderly".
var injected = regexp.MustCompile(`^ORDERLY_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

// unknown complains about variables that begin with ORDERLY_ and do not exist, in the order of their names.
// Their values are not repeated: nobody knows whether they are secret.
func unknown(vars map[string]string) []error {
	known := names()
	var found []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || isInjected(name, vars[name]) {
			continue
		}
		if near := nearest(name, known); near != "" {
			found = append(found, fmt.Errorf("%s is not a variable of orderly: did you mean %s?", name, near))
		} else {
			found = append(found, fmt.Errorf("%s is not a variable of orderly: remove it, or see `orderly config` for those that are", name))
		}
	}
	return found
}

// isInjected tells Kubernetes' ORDERLY_HTTP_PORT=tcp://10.0.0.1:8080 from a person's ORDERLY_HTTP_PORT=8080.
func isInjected(name, value string) bool {
	return injected.MatchString(name) && (!strings.HasSuffix(name, "_PORT") || strings.HasSuffix(name, "_SERVICE_PORT") ||
		strings.Contains(value, "://") || strings.Contains(name, "_PORT_"))
}

// names are the variables of Config.
func names() []string {
	var all []string
	for f := range reflect.TypeFor[Config]().Fields() {
		all = append(all, f.Tag.Get("env"))
	}
	return all
}

// nearest is the known name that name was most likely meant to be, or "": two letters of it may be wrong, or a third of
// what comes after the prefix.
func nearest(name string, known []string) string {
	best, least := "", 1+max(2, len(strings.TrimPrefix(name, prefix))/3)
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
