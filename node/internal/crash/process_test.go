package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startLimit bounds a node's way to readiness, stopLimit that from a signal to its exit.
const (
	startLimit = 60 * time.Second
	stopLimit  = 30 * time.Second
)

// process is one node in a process of its own.
type process struct {
	t       *testing.T
	id      string
	httpURL string
	started time.Time
	log     string
	cmd     *exec.Cmd
	// exited is closed once the process is gone; err is then how.
	exited chan struct{}
	err    error
}

// start runs the binary with the environment given.
func start(t *testing.T, id, log string, environ []string) *process {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{t: t, id: id, httpURL: "http://" + addr, log: log, exited: make(chan struct{})}
	p.cmd = exec.Command(victim, "run")
	p.cmd.Env = append(environ, "ORDERLY_NODE_ID="+id, "ORDERLY_HTTP_ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// freeAddr is an address that stays free while nobody listens there: its port is none of those that outgoing
// connections are given, such as those of clients that try to come back.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ready waits until the node takes orders in; false when it ends before that.
func (p *process) ready() bool {
	p.t.Helper()
	ready := false
	eventually(p.t, startLimit, p.id+" is ready", func() bool {
		status, _ := p.get("/readyz")
		ready = status == http.StatusOK
		return ready || p.gone()
	})
	return ready
}

// mustBeReady waits until the node takes orders in.
func (p *process) mustBeReady() {
	p.t.Helper()
	if !p.ready() {
		p.t.Fatalf("%s ended while it started: %v\n%s", p.id, p.err, p.tail())
	}
}

// get asks the node over HTTP; the status is 0 when it does not answer.
func (p *process) get(path string) (status int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.httpURL+path, nil)
	if err != nil {
		return 0, ""
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}

// kill ends the process as kill -9 does, and waits.
func (p *process) kill() {
	if !p.gone() {
		_ = p.cmd.Process.Kill()
	}
	<-p.exited
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("send %s to %s: %v", s, p.id, err)
	}
}

// code waits for the end and returns the exit code; -1 when it was killed.
func (p *process) code(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		p.t.Fatalf("%s has not ended within %s\n%s", p.id, limit, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// killed reports whether SIGKILL was the end.
func (p *process) killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// tail is the end of what the process wrote.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return filepath.Base(p.log) + ": …" + strings.ToValidUTF8(string(b[max(0, len(b)-3000):]), "")
}

// complaints are the lines that no node may ever write, however it died.
func (p *process) complaints() []string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for line := range bytes.Lines(b) {
		for _, bad := range []string{"DATA RACE", "panic", "fatal error", `"kind":"defect"`, "poison", "rebuilding index", "skipped by the index"} {
			if bytes.Contains(line, []byte(bad)) {
				lines = append(lines, p.id+": "+strings.TrimSpace(string(line)))
				break
			}
		}
	}
	return lines
}
