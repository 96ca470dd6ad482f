package directory

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// useHeader says where credentials belong.
const useHeader = "put them into the node's file of downstreams (ORDERLY_DOWNSTREAMS), as bearer, basic or a header from a file"

// CheckQuery returns an error that wraps ErrTarget if the query of a target looks as if it holds a secret: every order's
// journal would repeat it.
func CheckQuery(target string) error {
	_, query, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%w has a query that cannot be read: want name=value&…", ErrTarget)
	}
	for name, all := range values {
		for _, value := range all {
			switch {
			case value != "" && isSecretName(name):
				return fmt.Errorf("%w has %.40q in its query, which looks like a credential that every order's journal would repeat: %s", ErrTarget, name, useHeader)
			case looksRandom(value):
				return fmt.Errorf("%w has a long random value in its query (%.40q), which looks like a credential that every order's journal would repeat: %s", ErrTarget, name, useHeader)
			}
		}
	}
	return nil
}

var (
	secretNames    = []string{"key", "code", "auth", "sig", "pass", "pwd", "sas", "jwt", "bearer"}
	secretSuffixes = []string{
		"apikey", "accesskey", "authkey", "privatekey", "secretkey", "sharedkey", "signingkey", "subscriptionkey", "functionskey",
		"token", "secret", "password", "passwd", "passphrase", "signature", "credential", "credentials", "authorization", "cookie",
	}
)

// isSecretName reports whether a query parameter or header of that name usually holds a secret.
func isSecretName(name string) bool {
	name = strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	return slices.Contains(secretNames, name) ||
		slices.ContainsFunc(secretSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// looksRandom reports whether s has a run of at least 20 letters and digits, with at least three of each. Words, times and
// UUIDs have none.
func looksRandom(s string) bool {
	letters, digits := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		default:
			letters, digits = 0, 0
		}
		if letters >= 3 && digits >= 3 && letters+digits >= 20 {
			return true
		}
	}
	return false
}
