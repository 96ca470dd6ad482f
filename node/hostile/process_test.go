package hostile_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// process is the node.
type process struct {
	t       *testing.T
	httpURL string
	log     string
	cmd     *exec.Cmd
	// exited is closed when the process has ended.
	exited chan struct{}
}

func startProcess(t *testing.T, log string, environ []string) *process {
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
	p := &process{t: t, httpURL: "http://" + addr, log: log, cmd: exec.Command(binary, "run"), exited: make(chan struct{})}
	p.cmd.Env = append(environ, "ORDERLY_NODE_ID=node-1", "ORDERLY_HTTP_ADDR="+addr)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
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
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	natstest.Eventually(p.t, "the node is ready", func() bool {
		if p.gone() {
			p.t.Fatalf("the node ended while it started: %s\n%s", p.cmd.ProcessState, p.tail())
		}
		resp, err := client.Get(p.httpURL + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// terminate stops the node, which must end without an error.
func (p *process) terminate() {
	p.t.Helper()
	if p.gone() {
		p.t.Fatalf("the node has ended: %s\n%s", p.cmd.ProcessState, p.tail())
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	natstest.Receive(p.t, p.exited, "the node ends after SIGTERM")
	if !p.cmd.ProcessState.Success() {
		p.t.Errorf("the node after SIGTERM: %s\n%s", p.cmd.ProcessState, p.tail())
	}
}

// tail is the end of the node's log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return "…" + strings.ToValidUTF8(string(b[max(0, len(b)-3000):]), "")
}

var peakMemory = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// memory is the most resident memory that the node has had, in bytes; 0 where the system does not say it.
func (p *process) memory() uint64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if os.IsNotExist(err) && !p.gone() {
		return 0
	}
	if err != nil {
		p.t.Fatalf("memory of the node: %v\n%s", err, p.tail())
	}
	m := peakMemory.FindSubmatch(status)
	if m == nil {
		p.t.Fatalf("the status of the node has no VmHWM: %s", status)
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return n << 10
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
