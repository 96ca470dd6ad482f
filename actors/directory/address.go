package directory

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// ErrTarget is wrapped by every error about a target.
var ErrTarget = errors.New("target")

const (
	maxTarget  = 1024 // bytes of a target
	maxSubject = 255  // bytes of a NATS subject
)

// Address is where a call goes: exactly one of URL and Subject is set.
type Address struct {
	// URL is http or https, without credentials and fragment.
	URL *url.URL
	// Subject is a NATS subject.
	Subject string
}

// String is the address without its query, which may hold a secret.
func (a Address) String() string {
	if a.URL == nil {
		return "nats://" + a.Subject
	}
	return a.URL.Scheme + "://" + a.URL.Host + a.URL.EscapedPath()
}

// ParseAddress reads nats://subject or http(s)://host/path. The error wraps ErrTarget, says what is allowed and does not repeat
// credentials.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxTarget {
		return Address{}, fmt.Errorf("%w has %d bytes: at most %d are allowed", ErrTarget, len(s), maxTarget)
	}
	if rest, ok := strings.CutPrefix(s, "nats:"); ok {
		return parseNATS(rest)
	}
	return parseHTTP(s)
}

func parseNATS(rest string) (Address, error) {
	const want = "want nats://subject, for example nats://inventory.reserve (the server is set by NATS_URL)"
	subject, ok := strings.CutPrefix(rest, "//")
	if !ok || subject == "" {
		return Address{}, fmt.Errorf("%w has no NATS subject: %s", ErrTarget, want)
	}
	if len(subject) > maxSubject {
		return Address{}, fmt.Errorf("%w: NATS subject has %d bytes: at most %d are allowed", ErrTarget, len(subject), maxSubject)
	}
	for _, c := range []byte(subject) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("*>/?#@:%\\\"", c) >= 0 {
			return Address{}, fmt.Errorf("%w: a NATS subject cannot contain %q: %s", ErrTarget, string(rune(c)), want)
		}
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" {
			return Address{}, fmt.Errorf("%w: NATS subject %q has an empty token: %s", ErrTarget, subject, want)
		}
	}
	for _, own := range []string{
		messages.SubjectOrder, messages.SubjectEvent, messages.SubjectTimer, messages.SubjectWake, messages.SubjectDead,
		messages.SubjectPlan, messages.SubjectLedger, "$",
	} {
		if strings.HasPrefix(subject, own) {
			return Address{}, fmt.Errorf("%w: NATS subject %q belongs to Orderly or to NATS itself: name a service's subject", ErrTarget, subject)
		}
	}
	return Address{Subject: subject}, nil
}

func parseHTTP(s string) (Address, error) {
	const want = "want http(s)://host[:port]/path"
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's error may repeat the URL with its credentials.
		return Address{}, fmt.Errorf("%w is not a valid URL: %s", ErrTarget, want)
	}
	if u.Hostname() == "" || u.Opaque != "" {
		return Address{}, fmt.Errorf("%w has no host: %s", ErrTarget, want)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return Address{}, fmt.Errorf("%w has port %q: want 1–65535", ErrTarget, p)
		}
	}
	if u.User != nil {
		return Address{}, fmt.Errorf("%w has credentials, which every order's journal would repeat: %s", ErrTarget, useHeader)
	}
	if u.Fragment != "" {
		return Address{}, fmt.Errorf("%w has a fragment, which is never sent: %s", ErrTarget, want)
	}
	return Address{URL: u}, nil
}

// CheckTarget returns an error that wraps ErrTarget unless target can be written into a plan: nats://subject, an HTTP URL, or
// the name of a downstream with a path, such as payments/capture. Whether a node has that downstream, Directory.Check says.
func CheckTarget(target string) error {
	_, rest, named := plan.Named(target)
	address := target
	if named {
		address = "http://downstream" + rest
	}
	a, err := ParseAddress(address)
	switch {
	case err != nil:
		return err
	case named && hasDotSegment(a.URL.Path):
		return errDotSegment
	}
	return CheckQuery(target)
}

var errDotSegment = fmt.Errorf("%w has the segment . or .. in its path: want the path below the URL of the downstream", ErrTarget)
