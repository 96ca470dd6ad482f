package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// The test binary is its own child: a server that publishes and prints each acknowledged sequence until it is killed.
const (
	childDir     = "EMBEDDED_TEST_DIR"
	childRelaxed = "EMBEDDED_TEST_RELAXED"
)

func child() {
	s, err := embedded.Start(embedded.Config{DataDir: os.Getenv(childDir), Addr: "127.0.0.1:0", Relaxed: os.Getenv(childRelaxed) != ""})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	nc, err := s.Connect()
	if err != nil {
		panic(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		panic(err)
	}
	for {
		ack, err := js.Publish(ctx, "s.a", []byte("x"))
		if err != nil {
			panic(err)
		}
		fmt.Println(ack.Sequence)
	}
}

// spawn runs the child and counts the acknowledgements it prints; kill ends it as kill -9 does.
func spawn(t *testing.T, dir string, relaxed bool) (acknowledged *atomic.Uint64, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	if relaxed {
		cmd.Env = append(cmd.Env, childRelaxed+"=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged = new(atomic.Uint64)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				acknowledged.Store(n)
			}
		}
	}()
	var dead bool
	kill = func() {
		if !dead {
			dead = true
			_ = cmd.Process.Kill()
			<-read
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	return acknowledged, kill
}

// After kill -9 the next start finds the lock free and every acknowledged message.
func TestKill(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		t.Run(fmt.Sprintf("relaxed=%t", relaxed), func(t *testing.T) {
			dir := t.TempDir()
			for round := range uint64(3) {
				acknowledged, kill := spawn(t, dir, relaxed)
				natstest.Within(t, patience, "100 acknowledgements", func() bool { return acknowledged.Load() >= 100*(round+1) })
				kill()

				s := start(t, embedded.Config{DataDir: dir, Relaxed: relaxed})
				js, st := stream(t, s)
				if got := count(t, st); got < acknowledged.Load() {
					t.Errorf("round %d: %d of %d acknowledged messages", round, got, acknowledged.Load())
				}
				js.Conn().Close()
				s.Shutdown()
			}
		})
	}
}

// A second process learns which process has the directory, and what to do.
func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{DataDir: dir})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || ctx.Err() != nil {
		t.Fatalf("the second process ended with %v:\n%.200s", err, out)
	}
	for _, w := range []string{"data directory in use", dir, fmt.Sprintf("process %d ", os.Getpid()), "started 20", "ORDERLY_DATA_DIR"} {
		if !strings.Contains(string(out), w) {
			t.Errorf("no %q in: %s", w, out)
		}
	}
	s.Shutdown()
	acknowledged, _ := spawn(t, dir, false)
	natstest.Within(t, patience, "the second process starts after the first", func() bool { return acknowledged.Load() > 0 })
}
