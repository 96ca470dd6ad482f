package directory

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// recheck is how old the content of a file may be when it is used.
const recheck = time.Second

// fileValue is a value made of files. It is made again when their content changes. It reads them when it is used, at most once
// per recheck, so it needs no goroutine, and a file that is replaced through a symbolic link is noticed.
type fileValue[T any] struct {
	// label names the value in logs, such as payments: bearer.
	label string
	paths []string
	// limit is the largest size of a file, in bytes.
	limit int64
	// make makes the value of the files' contents. Its error does not repeat them.
	make func([][]byte) (T, error)
	log  *atomic.Pointer[slog.Logger]

	current atomic.Pointer[fileVersion[T]]
	mu      sync.Mutex // held while the files are read
	// failed: the last attempt to read them failed.
	failed bool
}

// fileVersion is the value as of one reading of the files.
type fileVersion[T any] struct {
	value   T
	content [][]byte
	// checked is when the files were last compared; zero: compare them before the next use.
	checked time.Time
}

// load reads the files for the first time.
func (f *fileValue[T]) load() error {
	v, err := f.read(nil)
	if err == nil {
		f.current.Store(v)
	}
	return err
}

// get returns the value of the files as they are now, or were a moment ago. If they cannot be read, or are invalid, it is the
// last value.
func (f *fileValue[T]) get() T {
	if v := f.current.Load(); time.Since(v.checked) < recheck {
		return v.value
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.current.Load()
	if time.Since(last.checked) < recheck {
		return last.value
	}
	next, err := f.read(last)
	switch log := f.log.Load(); {
	case err != nil:
		next = &fileVersion[T]{value: last.value, content: last.content, checked: time.Now()}
		if !f.failed {
			log.Warn("file of a downstream cannot be used, keeping its last content", "downstream", f.label, "error", err)
		}
	case f.failed:
		log.Info("file of a downstream can be used again", "downstream", f.label)
	}
	f.failed = err != nil
	f.current.Store(next)
	return next.value
}

// expire has the files read before the next use.
func (f *fileValue[T]) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.current.Load()
	f.current.Store(&fileVersion[T]{value: last.value, content: last.content})
}

// read reads the files. The value is the last one if they are unchanged.
func (f *fileValue[T]) read(last *fileVersion[T]) (*fileVersion[T], error) {
	v := &fileVersion[T]{checked: time.Now()}
	for _, path := range f.paths {
		b, err := readFile(path, f.limit)
		if err != nil {
			return nil, err
		}
		v.content = append(v.content, b)
	}
	if last != nil && slices.EqualFunc(last.content, v.content, bytes.Equal) {
		v.value, v.content = last.value, last.content
		return v, nil
	}
	var err error
	v.value, err = f.make(v.content)
	return v, err
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, nil
}
