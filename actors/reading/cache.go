package reading

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/orderly-engine/orderly/messages"
)

// maxCached is how many Readings a Cache holds: all of a few plans, each of which has at most 128.
const maxCached = 1024

// Cache compiles each Reading once. The zero value is empty. It is safe for concurrent use; what it holds is found without
// a lock.
type Cache struct {
	known atomic.Pointer[map[source]compiled]
	mu    sync.Mutex // held while a Reading is added
}

// source is the content of a Reading.
type source struct{ done, rejected, pending, retry, data, code, reason string }

type compiled struct {
	program *Program
	err     error
}

// Compile is the function Compile; equal Readings share their result. When the cache is full, it begins again.
func (c *Cache) Compile(r *messages.Reading) (*Program, error) {
	key := source{r.GetDoneWhen(), r.GetRejectedWhen(), r.GetPendingWhen(), r.GetRetryWhen(), r.GetData(), r.GetCode(), r.GetReason()}
	if known := c.known.Load(); known != nil {
		if found, ok := (*known)[key]; ok {
			return found.program, found.err
		}
	}
	program, err := Compile(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[source]compiled{}
	if known := c.known.Load(); known != nil && len(*known) < maxCached {
		next = maps.Clone(*known)
	}
	next[key] = compiled{program, err}
	c.known.Store(&next)
	return program, err
}
