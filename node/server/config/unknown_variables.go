package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// prefix of our variables: an unknown variable with it is a typing error.
const prefix = "ORDERLY_"

// kubernetesVariables matches the variables that Kubernetes sets in every pod for a service whose name starts with "orderly".
var kubernetesVariables = regexp.MustCompile(`^ORDERLY_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

// unknownVariables returns an error for each unknown variable that starts with ORDERLY_, sorted by name, without its value, which
// may be secret.
func unknownVariables(vars map[string]string) []error {
	known := names()
	var found []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || fromKubernetes(name, vars[name]) {
			continue
		}
		if near := nearest(name, known); near != "" {
			found = append(found, fmt.Errorf("%s is not a variable of orderly: did you mean %s?", name, near))
		} else {
			found = append(found, fmt.Errorf("%s is not a variable of orderly: remove it, or see `orderly config` for the variables", name))
		}
	}
	return found
}

// fromKubernetes distinguishes ORDERLY_HTTP_PORT=tcp://10.0.0.1:8080, set by Kubernetes, from ORDERLY_HTTP_PORT=8080, set by a user.
func fromKubernetes(name, value string) bool {
	return kubernetesVariables.MatchString(name) && (!strings.HasSuffix(name, "_PORT") || strings.HasSuffix(name, "_SERVICE_PORT") ||
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

// nearest is the known name with the smallest edit distance, or "": at most two edits, or a third of the length behind the prefix.
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
