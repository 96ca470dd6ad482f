package directory

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// Bounds of an entry.
const (
	maxMovedFrom     = 64
	maxHeaders       = 64
	maxHeader        = 8 << 10 // bytes of a value in the file
	maxCircuitCalls  = 1 << 20
	minCircuitWindow = time.Second
	maxCircuitWindow = 10 * time.Minute
	minKeyLifetime   = time.Second
	maxKeyLifetime   = 10 * 365 * 24 * time.Hour
)

// entryReader reads one entry.
type entryReader struct {
	*reader
	entry   *Entry
	service *service
	// movedFrom are read when the address is known.
	movedFrom []node
	// httpOnly are the given fields that an entry with nats cannot have.
	httpOnly []node
	// credentials: a header is secret.
	credentials bool
}

func (r *reader) entry(e *Entry, n node) {
	e.service = &service{}
	er := &entryReader{reader: r, entry: e, service: e.service}
	before := len(n.problems.listed)
	var address []node
	httpField := func(read func(node)) func(node) {
		return func(n node) {
			er.httpOnly = append(er.httpOnly, n)
			read(n)
		}
	}
	n.fields(
		field{"url", func(n node) { address = append(address, n); er.url(n) }},
		field{"nats", func(n node) { address = append(address, n); er.nats(n) }},
		field{"moved_from", func(n node) {
			er.movedFrom = n.items(maxMovedFrom, "a list of URLs, nats://subject or names, as orders in flight have them")
		}},
		field{"headers", er.headers},
		field{"bearer", httpField(er.bearer)},
		field{"basic", httpField(er.basic)},
		field{"tls", httpField(er.tls)},
		field{"proxy", httpField(er.proxy)},
		field{"limits", er.limits},
		field{"circuit", er.circuit},
		field{"rejects", er.rejects},
		field{"key_lifetime", func(n node) { e.KeyLifetime = n.duration(minKeyLifetime, maxKeyLifetime) }},
	)
	switch {
	case len(n.problems.listed) > before:
		return
	case len(address) != 1:
		n.fail("want exactly one of url and nats")
		return
	}
	base := e.service.base
	if base.URL == nil {
		for _, n := range er.httpOnly {
			n.fail("is for url, and the downstream has nats: the connection to NATS is set by NATS_URL and its credentials")
		}
	}
	if er.service.tls != nil && base.URL != nil && base.URL.Scheme != "https" {
		n.fail("tls needs a url that begins with https://")
	}
	if er.credentials && base.URL != nil && base.URL.Scheme == "http" && !isLoopback(base.URL.Hostname()) {
		r.directory.warn(e.Name, "credentials cross the network unencrypted: use https://")
	}
	er.addPrefix(address[0], base)
	for _, n := range er.movedFrom {
		er.moved(n)
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func (r *entryReader) url(n node) {
	const want = "https://host/path or http://host/path"
	if s, ok := n.text(want); ok {
		r.service.base = address(n, s)
		if a := r.service.base; a.URL == nil && a.Subject != "" {
			n.fail("want %s, or the field nats", want)
		}
	}
}

func (r *entryReader) nats(n node) {
	const want = "the beginning of a subject, such as shop.payments"
	if s, ok := n.text(want); ok {
		if strings.Contains(s, ":") {
			n.fail("want %s", want)
			return
		}
		r.service.base = address(n, "nats://"+s)
	}
}

// address reads an address that targets can be under.
func address(n node, s string) Address {
	a, err := ParseAddress(s)
	if err == nil && a.URL == nil {
		_, err = ParseAddress(s + ".x") // what is under it must be valid too
	}
	switch {
	case err != nil:
		n.fail("%v", err)
	case a.URL != nil && (a.URL.RawQuery != "" || a.URL.ForceQuery):
		n.fail("want no query: targets add theirs, and credentials belong into bearer, basic or a header from a file")
	case a.URL != nil && hasDotSegment(a.URL.Path):
		n.fail("want no segment . or ..")
	}
	return a
}

// addPrefix adds an address of the entry, which no other entry may have.
func (r *entryReader) addPrefix(n node, a Address) {
	p := newPrefix(r.entry, a)
	for _, other := range r.directory.prefixes {
		if other.origin == p.origin && other.path == p.path {
			n.fail("%s is an address of %s already", a, other.entry.Name)
			return
		}
	}
	r.directory.prefixes = append(r.directory.prefixes, p)
}

// moved reads one of moved_from: an address, or the former name of the downstream.
func (r *entryReader) moved(n node) {
	s, ok := n.text("a URL, nats://subject or a name")
	switch {
	case !ok:
	case !plan.IsDownstreamName(s):
		before := len(n.problems.listed)
		if a := address(n, s); len(n.problems.listed) == before {
			r.addPrefix(n, a)
		}
	case r.directory.entries[s] != nil:
		n.fail("%s is a name of %s already", s, r.directory.entries[s].Name)
	default:
		r.directory.entries[s] = r.entry
	}
}

// ownHeaders are set by the engine or the transport.
var ownHeaders = []string{
	"Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Host", "Idempotency-Key", "Traceparent", "Tracestate",
	"Upgrade", "Trailer", "Te", "Expect", "Proxy-Authorization", "Cookie2",
}

func (r *entryReader) headers(n node) {
	for _, p := range n.pairs(maxHeaders, "name: value, or name: {file: …} or {env: …}") {
		at := n.in(p.key, p.value)
		name := http.CanonicalHeaderKey(p.key)
		switch {
		case !isHeaderName(p.key):
			p.at.fail("name %.80q of a header: want letters, digits and -", p.key)
		case slices.Contains(ownHeaders, name) || strings.HasPrefix(name, "Orderly-") || strings.HasPrefix(name, "Nats-"):
			p.at.fail("header %s is set by the engine", p.key)
		default:
			r.header(at, p.key)
		}
	}
}

func isHeaderName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
	})
}

func (r *entryReader) header(n node, name string) {
	if n.Kind != yaml.ScalarNode {
		if s := r.secret(n); s != nil {
			r.addHeader(n, &header{name: name, secret: s})
		}
		return
	}
	value, ok := n.scalar("a text", "!!str", "!!int", "!!float", "!!bool", "!!timestamp")
	switch {
	case !ok:
	case isSecretName(name) || looksRandom(value):
		n.fail("looks like a secret, which does not belong into this file: want {file: path} or {env: NAME}")
	case len(value) > maxHeader || strings.ContainsFunc(value, isControl):
		n.fail("want at most %d bytes without control characters", maxHeader)
	default:
		r.addHeader(n, &header{name: name, prefix: value})
	}
}

func (r *entryReader) addHeader(n node, h *header) {
	for _, other := range r.service.headers {
		if strings.EqualFold(other.name, h.name) {
			n.fail("header %s is set already: want one of headers, bearer and basic", h.name)
			return
		}
	}
	r.credentials = r.credentials || h.secret != nil
	r.service.headers = append(r.service.headers, h)
}

func (r *entryReader) bearer(n node) {
	if s := r.secret(n); s != nil {
		r.addHeader(n, &header{name: "Authorization", prefix: "Bearer ", secret: s})
	}
}

func (r *entryReader) basic(n node) {
	h := &header{name: "Authorization"}
	before := len(n.problems.listed)
	n.fields(
		field{"user", func(n node) {
			var ok bool
			if h.user, ok = n.text("a user name"); ok && (strings.ContainsFunc(h.user, isControl) || strings.Contains(h.user, ":")) {
				n.fail("want no colon and no control characters")
			}
		}},
		field{"password", func(n node) { h.secret = r.secret(n) }},
	)
	switch {
	case len(n.problems.listed) > before:
	case h.user == "" || h.secret == nil:
		n.fail("want user and password")
	default:
		r.addHeader(n, h)
	}
}

func (r *entryReader) proxy(n node) {
	const want = "http://host:port, https://host:port or socks5://host:port, without credentials"
	s, ok := n.text(want)
	if !ok {
		return
	}
	u, err := url.Parse(s)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		n.fail("want %s", want)
		return
	}
	r.service.proxy = u
}

func (r *entryReader) limits(n node) {
	l := &messages.Limits{Concurrency: plan.DefaultConcurrency}
	n.fields(
		field{"concurrency", func(n node) { l.Concurrency = uint32(n.number(0, plan.MaxConcurrency)) }},
		field{"rate", func(n node) {
			l.Rate = n.fraction("calls per second: 0 (no limit), or 0.001 to 1000000", func(x float64) bool {
				return x == 0 || x >= plan.MinRate && x <= plan.MaxRate
			})
		}},
	)
	r.entry.Limits = l
}

func (r *entryReader) circuit(n node) {
	c := &r.entry.Circuit
	n.fields(
		field{"failure_rate", func(n node) {
			c.FailureRate = n.fraction("the share of failed calls that opens the circuit: more than 0 to 1", func(x float64) bool { return x > 0 && x <= 1 })
		}},
		field{"min_calls", func(n node) { c.MinCalls = n.number(1, maxCircuitCalls) }},
		field{"window", func(n node) { c.Window = n.duration(minCircuitWindow, maxCircuitWindow) }},
	)
}

// notRejects are the statuses from 400 to 499 that never mean a business no.
var notRejects = []int{
	http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusMisdirectedRequest,
	http.StatusTooEarly, http.StatusUpgradeRequired, http.StatusTooManyRequests,
}

func (r *entryReader) rejects(n node) {
	const want = "a list of statuses from 400 to 499 that mean a business no, such as [402, 409, 422]"
	rejects := []int{}
	for _, item := range n.items(100, want) {
		status := item.number(400, 499)
		if slices.Contains(notRejects, status) {
			item.fail("%d never means a business no: want other statuses from 400 to 499", status)
		}
		rejects = append(rejects, status)
	}
	r.entry.Rejects = rejects
}

func (r *entryReader) tls(n node) {
	t := tlsFiles{}
	file := func(to *string) func(node) {
		return func(n node) {
			if s, ok := n.text("the path of a PEM file"); ok {
				*to = r.path(s)
			}
		}
	}
	n.fields(
		field{"ca", file(&t.ca)},
		field{"cert", file(&t.cert)},
		field{"key", file(&t.key)},
		field{"server_name", func(n node) { t.serverName, _ = n.text("the name in the certificate of the service") }},
	)
	if (t.cert == "") != (t.key == "") {
		n.fail("want cert and key together")
		return
	}
	if t.key != "" {
		r.warnIfPublic(t.key)
	}
	r.service.tls = newFileValue(r, n, t.paths(), maxPEM, t.config)
}

// secret reads {file: …} or {env: …}, and the secret itself; nil if there is a problem.
func (r *entryReader) secret(n node) *secret {
	const want = "want {file: path} or {env: NAME}"
	if n.Kind == yaml.ScalarNode {
		n.fail("a secret does not belong into this file: %s", want)
		return nil
	}
	var found []*secret
	before := len(n.problems.listed)
	n.fields(
		field{"file", func(n node) {
			if path, ok := n.text("a path"); ok {
				path = r.path(path)
				r.warnIfPublic(path)
				found = append(found, &secret{file: newFileValue(r, n, []string{path}, maxSecret+2, func(content [][]byte) (string, error) {
					return cleanSecret(path, string(content[0]))
				})})
			}
		}},
		field{"env", func(n node) {
			if name, ok := n.text("the name of a variable"); ok {
				value, err := cleanSecret("variable "+name, os.Getenv(name))
				if err != nil {
					n.fail("%v", err)
				}
				found = append(found, &secret{value: value})
			}
		}},
	)
	switch {
	case len(n.problems.listed) > before:
		return nil
	case len(found) != 1:
		n.fail("%s", want)
		return nil
	}
	return found[0]
}

// newFileValue reads the files of a field for the first time.
func newFileValue[T any](r *entryReader, n node, paths []string, limit int64, makeValue func([][]byte) (T, error)) *fileValue[T] {
	f := &fileValue[T]{label: n.entry + ": " + n.field, paths: paths, limit: limit, make: makeValue, log: &r.directory.log}
	if err := f.load(); err != nil {
		n.fail("%v", err)
	}
	return f
}

func (r *entryReader) path(s string) string {
	if filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(r.dir, s)
}

// warnIfPublic warns of a secret that every user of the machine can read.
func (r *entryReader) warnIfPublic(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		r.directory.warn(r.entry.Name, "%s can be read by every user of this machine: chmod o-r", path)
	}
}
