package conformance

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Call is one call as the service received it.
type Call struct {
	// Route is the last element of the path, or the last token of the subject.
	Route string
	// Key is the header Idempotency-Key.
	Key string
	// OrderID is the order of the key.
	OrderID string
	Header  http.Header
	Body    []byte
	// Number counts the calls under the key from 1.
	Number int
}

// Service answers calls by its scripts, and remembers them. It is safe for concurrent use.
type Service struct {
	mu      sync.Mutex
	scripts map[string]Script // by route
	calls   []Call
	effects map[string]int // by key
	// late are the answers that wait for the next call under their key.
	late map[string]func()
}

// New returns a service whose routes answer by the scripts.
func New(scripts map[string]Script) *Service {
	s := &Service{scripts: map[string]Script{}, effects: map[string]int{}, late: map[string]func(){}}
	for route, script := range scripts {
		s.scripts[route] = script
	}
	return s
}

// Set changes the script of a route.
func (s *Service) Set(route string, script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[route] = script
}

// Calls are those received so far, oldest first.
func (s *Service) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Effects counts how often the effect of a key was performed: a service that keeps the rules performs each at most once.
func (s *Service) Effects(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effects[key]
}

// receive notes a call, performs its effect unless its key has one, and returns the answer. The late answer to an earlier
// call under the key is sent first.
func (s *Service) receive(route string, header http.Header, body []byte) (Call, Answer) {
	c := Call{Route: route, Key: header.Get("Idempotency-Key"), Header: header, Body: body}
	c.OrderID, _, _ = strings.Cut(c.Key, "/")
	s.mu.Lock()
	late := s.late[c.Key]
	delete(s.late, c.Key)
	c.Number = 1
	for _, earlier := range s.calls {
		if earlier.Key == c.Key {
			c.Number++
		}
	}
	script := s.scripts[route]
	s.calls = append(s.calls, c)
	s.mu.Unlock()

	if late != nil {
		late()
	}
	if script == nil {
		return c, Status(http.StatusNotFound, "no such route: "+route)
	}
	a := script(c)
	if a.Perform {
		s.mu.Lock()
		if s.effects[c.Key] == 0 || a.Forgetful {
			s.effects[c.Key]++
		}
		s.mu.Unlock()
	}
	return c, a
}

// postpone keeps an answer until the next call under the key.
func (s *Service) postpone(key string, send func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late[key] = send
}
