package directory

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// maxSecret is the size of the largest secret, in bytes.
const maxSecret = 16 << 10

// secret is a text that must not be seen: the content of a file, which can change, or a value of the environment.
type secret struct {
	file *fileValue[string] // nil: value
	// value is fixed.
	value string
}

func (s *secret) get() string {
	if s.file != nil {
		return s.file.get()
	}
	return s.value
}

// expire has a file read before the next use.
func (s *secret) expire() {
	if s.file != nil {
		s.file.expire()
	}
}

// cleanSecret returns the secret that a file or variable, called name, holds: without newlines at its end. The error does not
// repeat it.
func cleanSecret(name, text string) (string, error) {
	text = strings.TrimRight(text, "\r\n")
	switch {
	case text == "":
		return "", fmt.Errorf("%s is empty", name)
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s has %d bytes: at most %d are allowed", name, len(text), maxSecret)
	case strings.ContainsFunc(text, isControl):
		return "", fmt.Errorf("%s has control characters: want a single line of text", name)
	}
	return text, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// header is a header field of every call of an entry.
type header struct {
	name string
	// prefix is put before the secret; without one, it is the value.
	prefix string
	secret *secret
	// user: the value is that of basic authentication, with the secret as password.
	user string
}

func (h *header) value() string {
	switch {
	case h.secret == nil:
		return h.prefix
	case h.user != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(h.user+":"+h.secret.get()))
	}
	return h.prefix + h.secret.get()
}
