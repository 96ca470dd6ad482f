package hostile_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// roomLimit is how long a node may take after there is room again.
const roomLimit = 30 * time.Second

// limitFiles sets the size up to which the node can write files, in bytes: beyond it every write fails, as on a full disk. It needs no
// rights and no file system of its own.
func (p *process) limitFiles(size uint64) {
	p.t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		p.t.Fatal(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		p.t.Fatal(err)
	}
}

// probe returns status and body of a request; 0 without an answer.
func (p *process) probe(path string) (int, string) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.httpURL + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// insist publishes each order until it is acknowledged, as a client does.
func (h *harness) insist(ids []string) {
	for _, id := range ids {
		for h.Context().Err() == nil && !h.node.gone() {
			if _, err := h.js.PublishMsg(h.Context(), about(id, "", orderBody(id))); err == nil {
				break
			}
		}
	}
}

// After a write error the server refuses every message until it is reopened, also when there is room again.
func TestHostileDiskFullAndFreed(t *testing.T) {
	h := newHarness(t, nil)
	h.fillAndFree("file too large",
		func() { h.node.limitFiles(64 << 10) }, // in the middle of a message
		func() { h.node.limitFiles(unix.RLIM_INFINITY) })
	h.fillAndFree("file too large",
		func() { h.node.limitFiles(0) },
		func() { h.node.limitFiles(unix.RLIM_INFINITY) })
	h.verify()
	h.node.terminate()
}

// The same with a file system that a neighbor fills.
func TestHostileDiskFilledByNeighbor(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("cannot mount a file system (%v): TestHostileDiskFullAndFreed checks the same without one", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	neighbor := filepath.Join(dir, "neighbor")
	h := newHarness(t, []string{"ORDERLY_DATA_DIR=" + filepath.Join(dir, "data"), "ORDERLY_DURABILITY=strict"})
	h.fillAndFree("no space left on device", func() {
		f, err := os.Create(neighbor)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for block := make([]byte, 64<<10); err == nil; {
			_, err = f.Write(block)
		}
	}, func() {
		if err := os.Remove(neighbor); err != nil {
			t.Fatal(err)
		}
	})
	h.verify()
	h.node.terminate()
}

// fills counts the calls of fillAndFree in this test process, so that each has orders of its own.
var fills atomic.Int64

// fillAndFree lets every write of the store fail under load, and then succeed. The node must say so, and continue by itself.
func (h *harness) fillAndFree(reason string, fill, free func()) {
	h.Helper()
	round := fills.Add(1)
	ids := make([]string, h.size(200, 2000))
	for i := range ids {
		ids[i] = fmt.Sprintf("full-%d-%d", round, i)
	}
	h.insist(ids[:10])
	h.taken()
	fill()
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		h.insist(ids[10:])
	}()
	natstest.Within(h, roomLimit, "the node says that it cannot write", func() bool {
		code, body := h.node.probe("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "store: ") && strings.Contains(body, reason)
	})
	if code, body := h.node.probe("/health"); code != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
		h.Errorf("/health: %d %s", code, body)
	}
	if code, body := h.node.probe("/livez"); code != http.StatusOK {
		h.Errorf("/livez: %d %s", code, body)
	}
	free()
	freed := time.Now()
	natstest.Within(h, roomLimit, "the node is ready again", func() bool {
		if h.node.gone() {
			h.Fatalf("the node has ended: %s\n%s", h.node.cmd.ProcessState, h.node.tail())
		}
		code, _ := h.node.probe("/readyz")
		return code == http.StatusOK
	})
	h.Logf("ready %s after there was room", time.Since(freed).Round(10*time.Millisecond))
	natstest.Receive(h, stored, "all orders are stored")
	h.taken()
	natstest.Eventually(h, "the index has the new orders", func() bool {
		_, body := h.node.probe("/v1/orders?limit=1")
		return strings.Contains(body, fmt.Sprintf(`"order_id":"full-%d-`, round))
	})
}
