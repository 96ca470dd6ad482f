package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// childArgs is the variable with the command line that a process of the test binary runs; stubborn is a command
// that ignores the end of its context, obstinate a node that ignores its signals.
const (
	childArgs     = "TEST_COMMAND_LINE"
	ignoreContext = "stubborn"
	ignoreSignals = "obstinate"
)

// child runs the command line of childArgs, if set, and does not return then.
func child() {
	switch args := os.Getenv(childArgs); args {
	case "":
	case ignoreContext:
		cmd := &cobra.Command{RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Println("begun")
			<-cmd.Context().Done()
			fmt.Println("interrupted")
			select {}
		}}
		cmd.SetArgs(nil)
		_ = interruptible(cmd)[0].ExecuteContext(context.Background())
	case ignoreSignals:
		abort, unhook := onSignals(func() { fmt.Println("stop") })
		defer unhook()
		fmt.Println("begun")
		<-abort
		fmt.Println("abort")
		select {}
	default:
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		os.Exit(Main())
	}
}

// spawned is a command in its own process.
type spawned struct {
	*exec.Cmd
	in       io.WriteCloser
	out, err syncBuffer
	ended    chan error
}

// spawn starts a command, which is killed by the cleanup.
func spawn(t *testing.T, environ []string, args string) *spawned {
	t.Helper()
	s := &spawned{Cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	s.Env = append(environ, childArgs+"="+args)
	s.Stdout, s.Stderr = &s.out, &s.err
	var err error
	if s.in, err = s.StdinPipe(); err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.ended <- s.Wait() }()
	t.Cleanup(func() { _ = s.Process.Kill(); <-done })
	return s
}

// waitOutput waits until the command has printed what.
func (s *spawned) waitOutput(t *testing.T, what string) {
	t.Helper()
	eventually(t, what, func() (bool, any) { return strings.Contains(s.out.String(), what), s.out.String() + s.err.String() })
}

func (s *spawned) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// requireInterrupted checks that the command ends as interrupted.
func (s *spawned) requireInterrupted(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || s.err.String() != "orderly: interrupted\n" {
			t.Errorf("it ends with %v\n%s%s", err, &s.out, &s.err)
		}
	case <-time.After(natstest.Patience):
		t.Fatalf("it did not end\n%s%s", &s.out, &s.err)
	}
}

// TestFollowInterrupted: either signal ends a running command cleanly.
func TestFollowInterrupted(t *testing.T) {
	p := start(t, nil)
	p.publish(t, sampleOrder("o-1")) // no service performs the steps
	p.waitStatus(t, "o-1", "running")
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := spawn(t, p.environ, "get o-1 --follow")
		s.waitOutput(t, "accepted: ")
		s.signal(t, sig)
		s.requireInterrupted(t)
	}
}

// TestPublishInterrupted: the summary counts the orders stored before the signal.
func TestPublishInterrupted(t *testing.T) {
	p := start(t, nil)
	for _, args := range []string{"publish -", "publish - --wait"} {
		id := strings.ReplaceAll(args, " ", "")
		s := spawn(t, p.environ, args)
		if _, err := fmt.Fprintln(s.in, sampleOrder(id)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the order", func() (bool, any) {
			got := command(t, p.environ, "", "get", id)
			return got.code == exitOK, got.err + s.err.String()
		})
		s.signal(t, os.Interrupt)
		// Progress lines may precede it.
		eventually(t, "the end", func() (bool, any) { return strings.HasSuffix(s.err.String(), "orderly: interrupted\n"), s.err.String() })
		if err := <-s.ended; err == nil || !strings.HasPrefix(s.out.String(), "1 order stored") {
			t.Errorf("%s: %v\n%s%s", args, err, &s.out, &s.err)
		}
	}
}

// TestSecondInterrupt: a second signal kills a command that does not end.
func TestSecondInterrupt(t *testing.T) {
	s := spawn(t, nil, ignoreContext)
	s.waitOutput(t, "begun\n")
	s.signal(t, os.Interrupt)
	s.waitOutput(t, "interrupted\n")
	deadline := time.After(natstest.Patience)
	for {
		// A signal that arrives while the handler is removed counts as the first.
		_ = s.Process.Signal(os.Interrupt) // fails once the process is gone
		select {
		case err := <-s.ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("it ends with %v: want it killed by the signal", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("a second signal does not end it")
		}
	}
}

// TestInterruptible: without a signal a command keeps its error, and subcommands are interruptible too.
func TestInterruptible(t *testing.T) {
	run := func(ctx context.Context, f func(context.Context) error) error {
		below := &cobra.Command{Use: "below", RunE: func(cmd *cobra.Command, _ []string) error { return f(cmd.Context()) }}
		above := &cobra.Command{Use: "above", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return nil }}
		above.AddCommand(below)
		above.SetArgs([]string{"below"})
		return interruptible(above)[0].ExecuteContext(ctx)
	}
	for _, want := range []error{nil, errSilent, context.Canceled} {
		if err := run(t.Context(), func(context.Context) error { return want }); !errors.Is(err, want) || errors.Is(err, errInterrupted) {
			t.Errorf("got %v: want %v", err, want)
		}
	}
	for want, said := range map[error]error{errInterrupted: fmt.Errorf("read: %w", context.Canceled), errSilent: errSilent} {
		ctx, cancel := context.WithCancel(t.Context())
		if err := run(ctx, func(ctx context.Context) error { cancel(); <-ctx.Done(); return said }); !errors.Is(err, want) || errors.Is(err, context.Canceled) {
			t.Errorf("%v became %v: want %v", said, err, want)
		}
	}
}

// TestSendInterrupted: an interrupted bulk run reports how many messages were sent.
func TestSendInterrupted(t *testing.T) {
	p := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs syncBuffer
	b := &bulk{t: terminal{out: &out, err: &errs}, name: "retry", message: func(target) proto.Message { return &messages.RetryOrder{} }}
	err := b.send(ctx, p.connection(t), []target{{id: "o-1"}, {id: "o-2"}})
	if !errors.Is(err, errInterrupted) || out.String() != "0 of 2 sent, 2 not\n" {
		t.Errorf("got %v\n%s", err, &out)
	}
}
