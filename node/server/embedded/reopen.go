package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// probeFile is written by CanWrite.
	probeFile = "orderly.probe"
	// probeSize is the room that a store needs to be reopened, in bytes. With less it would soon fail again.
	probeSize = 16 << 20
)

// errStopped: the server was shut down.
var errStopped = errors.New("embedded server: stopped")

// Failure returns why the store accepts no messages, or nil. The server keeps the first write error of each stream, for example that
// the disk is full, and refuses every message of the stream until it is reopened. Reopen ends that.
func (s *Server) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	if health := s.server.Healthz(&server.HealthzOptions{}); health.Error != "" {
		return errors.New(health.Error)
	}
	return nil
}

// Usage is what a store takes and may take, in bytes.
type Usage struct {
	// Used and Limit of all streams; Disk is what is left on the disk.
	Used, Limit, Disk int64
}

// Usage measures the store.
func (s *Server) Usage() (Usage, error) {
	disk, err := availableDisk(s.cfg.DataDir)
	if err != nil {
		return Usage{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return Usage{}, errStopped
	}
	state, err := s.server.Jsz(nil)
	if err != nil {
		return Usage{}, err
	}
	return Usage{Used: int64(state.Store), Limit: s.cfg.MaxStore, Disk: disk}, nil
}

// CanWrite returns an error unless 16 MiB can be written and synced in the data directory.
func (s *Server) CanWrite() (err error) {
	if available, err := availableDisk(s.cfg.DataDir); err != nil {
		return err
	} else if available < 2*probeSize { // do not take the last room from others
		return fmt.Errorf("the disk of %s has %d MiB left", s.cfg.DataDir, available>>20)
	}
	f, err := os.OpenFile(filepath.Join(s.cfg.DataDir, probeFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 1<<20)
	for range probeSize / len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return f.Sync()
}

// Reopen closes the server and its store, and starts it again on the same address, as another start of the process would. Clients
// reconnect by themselves. After an error there is no server any more.
func (s *Server) Reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	s.server.Shutdown()
	s.server.WaitForShutdown()
	cfg := s.cfg
	cfg.Addr = s.Addr()
	inner, err := start(cfg)
	if err != nil {
		return fmt.Errorf("reopen the store: %w", err)
	}
	s.server = inner
	return nil
}
