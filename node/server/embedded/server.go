package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// SyncInterval is the longest time between acknowledgement and sync in relaxed durability.
	SyncInterval = 100 * time.Millisecond
	// maxPayload is large enough for the largest message of the inbox with its headers, and for an order with its plan in the
	// journal, in bytes.
	maxPayload = 1 << 20
	// maxMemory bounds memory streams, in bytes; the engine uses none.
	maxMemory = 256 << 20
	// startTimeout bounds the wait for the first connection.
	startTimeout = 10 * time.Second
)

// Config of an embedded server.
type Config struct {
	// DataDir holds the store; it is created if it does not exist. Required.
	DataDir string
	// Addr to listen on, host:port; port 0 is any free one. Default 127.0.0.1:4222.
	Addr string
	// Relaxed acknowledges a message before it is synced, within SyncInterval. Default: after.
	Relaxed bool
	// MaxStore bounds the store in bytes. Default: nine tenths of the available disk, so that the server refuses messages before
	// the disk is full.
	MaxStore int64
	// Logger gets the server's warnings and errors. Default: none.
	Logger *slog.Logger
}

// Validate reports what is missing or malformed.
func (c Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("embedded server: no data directory: set ORDERLY_DATA_DIR")
	}
	if c.MaxStore < 0 {
		return fmt.Errorf("embedded server: store limit of %d bytes: want 0 or more", c.MaxStore)
	}
	if _, _, err := c.listen(); err != nil {
		return err
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:4222"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// listen splits Addr.
func (c Config) listen() (host string, port int, err error) {
	host, service, err := net.SplitHostPort(c.withDefaults().Addr)
	if err == nil {
		var n uint64
		if n, err = strconv.ParseUint(service, 10, 16); err == nil {
			return host, int(n), nil
		}
	}
	return "", 0, fmt.Errorf("embedded server: ORDERLY_NATS_ADDR=%q is not an address: want host:port", c.Addr)
}

// Server is a running NATS server with JetStream.
type Server struct {
	cfg  Config
	lock *lock
	addr net.Addr

	// mu is held while the server is stopped or reopened.
	mu      sync.Mutex
	server  *server.Server
	stopped bool
}

// Start locks the data directory, recovers the store and listens. The error wraps ErrLocked if another process uses the directory;
// it names the variable to change if the directory or the address cannot be used.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	held, err := acquire(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	inner, err := start(cfg)
	if err != nil {
		held.release()
		return nil, err
	}
	cfg.MaxStore = inner.JetStreamConfig().MaxStore // also after Reopen, when others may have taken the disk
	s := &Server{cfg: cfg, lock: held, addr: inner.Addr(), server: inner}
	if tcp, ok := s.addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		cfg.Logger.Warn("embedded server accepts connections from other machines without authentication", "address", s.Addr())
	}
	return s, nil
}

func start(cfg Config) (*server.Server, error) {
	host, port, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	if err := probe(cfg.Addr); err != nil {
		return nil, err
	}
	store := cfg.MaxStore
	if store == 0 {
		if store, err = storeLimit(cfg.DataDir, filepath.Join(cfg.DataDir, server.JetStreamStoreDir)); err != nil {
			return nil, fmt.Errorf("embedded server: measure the disk of %s: %w", cfg.DataDir, err)
		}
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	inner, err := server.NewServer(&server.Options{
		ServerName:             "orderly",
		Host:                   host,
		Port:                   port,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		MaxPayload:             maxPayload,
		JetStream:              true,
		StoreDir:               cfg.DataDir,
		JetStreamMaxMemory:     maxMemory,
		JetStreamMaxStore:      store,
		SyncAlways:             !cfg.Relaxed,
		SyncInterval:           SyncInterval,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	lines := &serverLog{logger: cfg.Logger}
	inner.SetLogger(lines, false, false)

	inner.Start()
	if fatal := lines.failure(); fatal != nil || !inner.ReadyForConnections(startTimeout) {
		inner.Shutdown()
		inner.WaitForShutdown()
		if fatal == nil {
			fatal = fmt.Errorf("no connection within %s", startTimeout)
		}
		return nil, fmt.Errorf("embedded server: start on %s with the store in %s: %w", cfg.Addr, cfg.DataDir, fatal)
	}
	cfg.Logger.Info("embedded server started", "address", inner.Addr().String(), "data_dir", cfg.DataDir, "relaxed", cfg.Relaxed, "max_store_bytes", store)
	return inner, nil
}

// probe returns a typed error if the server could not listen: its own is fatal and untyped.
func probe(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l.Close()
	case inUse(err):
		return fmt.Errorf("embedded server: address %s is in use: stop the program that listens there, or set ORDERLY_NATS_ADDR to another address: %w", addr, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("embedded server: address %s is not permitted: set ORDERLY_NATS_ADDR to a port above 1023: %w", addr, err)
	}
	return fmt.Errorf("embedded server: cannot listen on %s: set ORDERLY_NATS_ADDR to an address of this machine: %w", addr, err)
}

// Shutdown closes the server with its connections, waits until the store is closed, and unlocks the data directory. Later calls
// wait for the first.
func (s *Server) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.lock.release()
	s.cfg.Logger.Info("embedded server stopped")
}
