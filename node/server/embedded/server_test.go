package embedded_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		child()
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// stream opens the stream of the tests, on a connection that is closed with the test.
func stream(t *testing.T, s *embedded.Server) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}})
	if err != nil {
		t.Fatal(err)
	}
	return js, st
}

func count(t *testing.T, st jetstream.Stream) uint64 {
	t.Helper()
	info, err := st.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// Published messages are stored after a restart, also with the other durability.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	for i, relaxed := range []bool{false, true, false} {
		s := start(t, embedded.Config{DataDir: dir, Relaxed: relaxed})
		js, st := stream(t, s)
		if got := count(t, st); got != uint64(i) {
			t.Fatalf("start %d: %d messages", i+1, got)
		}
		if _, err := js.Publish(t.Context(), "s.a", make([]byte, messages.MaxStored)); err != nil {
			t.Fatal(err)
		}
		js.Conn().Close()
		s.Shutdown()
		s.Shutdown()
	}
}

func TestLimits(t *testing.T) {
	s := start(t, embedded.Config{DataDir: t.TempDir(), MaxStore: 1 << 20})
	js, _ := stream(t, s)
	info, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Limits.MaxStore > 0 && info.Limits.MaxStore != 1<<20 {
		t.Errorf("store limit %d", info.Limits.MaxStore)
	}
	for range 8 {
		if _, err = js.Publish(t.Context(), "s.a", make([]byte, 256<<10)); err != nil {
			break
		}
	}
	var refused *jetstream.APIError
	if !errors.As(err, &refused) {
		t.Errorf("2 MiB fit into a store of 1 MiB: %v", err)
	}
	if got := js.Conn().MaxPayload(); got != 1<<20 {
		t.Errorf("largest payload %d", got)
	}
}

func TestSecondServerInProcess(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{DataDir: dir})
	_, err := embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0"})
	if !errors.Is(err, embedded.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	s.Shutdown()
	start(t, embedded.Config{DataDir: dir})
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	_, err = embedded.Start(embedded.Config{DataDir: dir, Addr: l.Addr().String()})
	want(t, err, l.Addr().String(), "in use", "ORDERLY_NATS_ADDR")
	// The directory is free again.
	start(t, embedded.Config{DataDir: dir})
}

func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := embedded.Start(embedded.Config{DataDir: filepath.Join(file, "data"), Addr: "127.0.0.1:0"})
	want(t, err, "cannot be used", "ORDERLY_DATA_DIR", file)
	_, err = embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
	want(t, err, "ORDERLY_DATA_DIR")
	_, err = embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "4222"})
	want(t, err, "ORDERLY_NATS_ADDR", `"4222"`)
	_, err = embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "192.0.2.1:4222"})
	want(t, err, "ORDERLY_NATS_ADDR", "192.0.2.1:4222")

	// If the store cannot be opened, the error has the message with which the server would exit.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0"})
	want(t, err, dir, "JetStream")
}

func want(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in: %v", w, err)
		}
	}
}

// Listening for other machines is said; nothing else is logged of an undisturbed life but start and stop.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	s := start(t, embedded.Config{DataDir: t.TempDir(), Addr: "0.0.0.0:0", Logger: logger})
	if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
		t.Errorf("URL %s", s.URL())
	}
	stream(t, s)
	s.Shutdown()
	for _, w := range []string{"without authentication", "embedded server started", "embedded server stopped"} {
		if !strings.Contains(out.String(), w) {
			t.Errorf("no %q in:\n%s", w, &out)
		}
	}
	if n := strings.Count(out.String(), "\n"); n > 4 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}

// patience is how long a test waits for a condition: some of it syncs a hundred times, and disks can be slow.
const patience = 2 * time.Minute

func TestDurability(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		always, interval := start(t, embedded.Config{DataDir: t.TempDir(), Relaxed: relaxed}).Durability()
		if always == relaxed || interval != 100*time.Millisecond {
			t.Errorf("relaxed %t: sync always %t, sync interval %s", relaxed, always, interval)
		}
	}
}
