package crash_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// stopLimit bounds the time from SIGTERM to the exit of a node that has ended its orders.
const stopLimit = 30 * time.Second

// process is one node in a process of its own.
type process struct {
	t       *testing.T
	id      string
	httpURL string
	started time.Time
	log     string
	cmd     *exec.Cmd
	// exited is closed when the process has ended.
	exited chan struct{}
}

// startProcess runs the binary with the environment given.
func startProcess(t *testing.T, id, log string, environ []string) *process {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	addr := natstest.FreeAddr(t)
	p := &process{t: t, id: id, httpURL: "http://" + addr, log: log, cmd: exec.Command(binary, "run"), started: time.Now(), exited: make(chan struct{})}
	p.cmd.Env = append(environ, "ORDERLY_NODE_ID="+id, "ORDERLY_HTTP_ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ready waits until the node accepts orders.
func (p *process) ready() {
	p.t.Helper()
	natstest.Eventually(p.t, p.id+" is ready", func() bool {
		if p.gone() {
			p.t.Fatalf("%s ended while it started: %s\n%s", p.id, p.cmd.ProcessState, p.tail())
		}
		status, _ := p.get("/readyz")
		return status == http.StatusOK
	})
}

var httpClient = http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get sends an HTTP request to the node; the status is 0 without a response.
func (p *process) get(path string) (status int, body string) {
	resp, err := httpClient.Get(p.httpURL + path)
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

// metric is the sum of the metrics whose names start with prefix, -1 without any.
func (p *process) metric(prefix string) float64 {
	_, body := p.get("/metrics")
	sum := -1.0
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		fields := strings.Fields(line)
		if v, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
			sum = max(sum, 0) + v
		}
	}
	return sum
}

// inFlight is the number of deliveries that the node holds.
func (p *process) inFlight() float64 { return p.metric("orderly_deliveries_in_flight") }

// kill ends the process with SIGKILL and waits for its end.
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

// exitCode waits for the end of the process; the code is -1 if a signal ended it.
func (p *process) exitCode(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		p.t.Fatalf("%s has not ended within %s\n%s", p.id, limit, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// killed reports whether SIGKILL ended the process.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// tail is the end of the node's log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return filepath.Base(p.log) + ": …" + strings.ToValidUTF8(string(b[max(0, len(b)-3000):]), "")
}

// indexLogs are log messages of the index that no crash causes. TestIndexLogsExist holds them to the code.
var indexLogs = []string{"rebuilding index", "skipped by the index"}

// forbiddenLogs returns the lines in the node's log that no crash causes.
func (p *process) forbiddenLogs() (lines []string) {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	for line := range bytes.Lines(b) {
		for _, forbidden := range append([]string{"DATA RACE", "panic", "fatal error", `"kind":"defect"`, "poison"}, indexLogs...) {
			if bytes.Contains(line, []byte(forbidden)) {
				lines = append(lines, p.id+": "+strings.TrimSpace(string(line)))
				break
			}
		}
	}
	return lines
}

func TestIndexLogsExist(t *testing.T) {
	files, err := filepath.Glob("../../server/index/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, b...)
	}
	for _, message := range indexLogs {
		if !bytes.Contains(source, []byte(message)) {
			t.Errorf("package index does not log %q: the crash tests look for a message that cannot come", message)
		}
	}
}
