package crash_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// clockSource makes the wall clock of a program wrong by CLOCK_AHEAD_S seconds; the monotonic clock stays right.
const clockSource = `package time

import "syscall"

var nodeAhead = func() int64 {
	text, _ := syscall.Getenv("CLOCK_AHEAD_S")
	seconds, sign := int64(0), int64(1)
	for i := 0; i < len(text); i++ {
		if text[i] == '-' {
			sign = -1
			continue
		}
		seconds = 10*seconds + int64(text[i]-'0')
	}
	return sign * seconds
}()
`

// buildWithWrongClock builds the node with another time.Now.
func buildWithWrongClock(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	const reading = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	now := filepath.Join(dir, "time.go")
	return buildChanged(t, map[string]string{
		now:                                replaceIn(t, now, reading, strings.Replace(reading, "\n", "\n\tsec += nodeAhead\n", 1)),
		filepath.Join(dir, "nodeahead.go"): clockSource,
	})
}

// A step that fails is called again within a minute.
const retryPlan = "name: clock\nversion: 1\nsteps:\n- name: call\n  do: sim:?fail=1\n  retry: {initial: 60s, max: 60s}\n"

// TestCrashWrongClock: nodes whose clocks are ahead of the server's, or behind it, park orders for the right time, keep messages
// about unknown orders for their age, and forget no order too early.
func TestCrashWrongClock(t *testing.T) {
	if os.Getenv("CRASH_COUNT") == "" {
		t.Skip("compiles the standard library anew: make crash runs it")
	}
	t.Parallel()
	program := buildWithWrongClock(t)
	for _, ahead := range []time.Duration{2 * time.Minute, 10 * time.Minute, -10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			w := startWithWrongClock(t, program, ahead)
			w.checkOffset(ahead)
			w.checkPark()
			w.checkUnknown()
			if ahead == 10*time.Minute {
				w.checkRetention()
			}
		})
	}
}

// wrongClock is a node whose clock is wrong, on a server whose clock is right.
type wrongClock struct {
	*process
	t  *testing.T
	js jetstream.JetStream
}

func startWithWrongClock(t *testing.T, program string, ahead time.Duration) *wrongClock {
	t.Helper()
	url := natstest.Start(t).ClientURL()
	dir := t.TempDir()
	plan := filepath.Join(dir, "plan.yaml")
	if err := os.WriteFile(plan, []byte(retryPlan), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := natstest.FreeAddr(t)
	p := &process{t: t, id: "node", httpURL: "http://" + addr, log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, "run")
	p.cmd.Env = []string{
		"CLOCK_AHEAD_S=" + strconv.Itoa(int(ahead.Seconds())), "NATS_URL=" + url, "HOME=" + dir, "ORDERLY_DATA_DIR=" + filepath.Join(dir, "data"),
		"ORDERLY_HTTP_ADDR=" + addr, "ORDERLY_PLAN=" + plan, "ORDERLY_HOLD=100ms", "ORDERLY_RETENTION=1m", "ORDERLY_INDEX=off", "ORDERLY_LOG_FORMAT=json",
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	p.ready()
	return &wrongClock{p, t, natstest.JetStream(t, natstest.Connect(t, url))}
}

func (w *wrongClock) publish(id string, header nats.Header, body string) {
	w.t.Helper()
	if _, err := w.js.PublishMsg(natstest.Context(w.t), &nats.Msg{Subject: messages.SubjectOrder + id, Header: header, Data: []byte(body)}); err != nil {
		w.t.Fatal(err)
	}
}

// last is the last message on a subject, nil without one.
func (w *wrongClock) last(stream, subject string) *jetstream.RawStreamMsg {
	w.t.Helper()
	s, err := w.js.Stream(natstest.Context(w.t), stream)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(context.Background(), subject)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		w.t.Fatal(err)
	}
	return m
}

func (w *wrongClock) checkOffset(ahead time.Duration) {
	w.t.Helper()
	if got := w.metric("orderly_clock_offset_seconds"); got < ahead.Seconds()-5 || got > ahead.Seconds()+5 {
		w.t.Errorf("the offset is %f s, want %s", got, ahead)
	}
	if !strings.Contains(w.tail(), "clock of this node differs") {
		w.t.Errorf("no warning in %s", w.tail())
	}
}

// checkPark: a failed call is made again within its delay.
func (w *wrongClock) checkPark() {
	w.t.Helper()
	w.publish("parked", nil, strings.ReplaceAll(validOrder, "o-1", "parked"))
	var timer *jetstream.RawStreamMsg
	natstest.Eventually(w.t, "the order is parked", func() bool {
		timer = w.last(messages.StreamTimers, messages.SubjectTimer+"parked")
		return timer != nil
	})
	due, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(timer.Header.Get("Nats-Schedule"), "@at "))
	if delay := due.Sub(timer.Time); err != nil || delay <= 0 || delay > 70*time.Second {
		w.t.Errorf("the order is parked for %s, %v: want at most a minute", delay, err)
	}
}

// checkUnknown: a cancel that comes before its order waits for it.
func (w *wrongClock) checkUnknown() {
	w.t.Helper()
	w.publish("unknown", nats.Header{messages.HeaderType: {string(messages.TypeCancel)}}, "{}")
	natstest.Eventually(w.t, "the cancel is delivered again", func() bool {
		c, err := w.js.Consumer(natstest.Context(w.t), messages.StreamOrders, messages.Consumer)
		if err != nil {
			w.t.Fatal(err)
		}
		return c.CachedInfo().NumRedelivered > 0 || w.last(messages.StreamDead, messages.SubjectDead+"unknown") != nil
	})
	if dead := w.last(messages.StreamDead, messages.SubjectDead+"unknown"); dead != nil {
		w.t.Fatalf("the cancel is a dead letter: %v", dead.Header)
	}
	w.publish("unknown", nil, strings.ReplaceAll(validOrder, "o-1", "unknown"))
	natstest.Eventually(w.t, "the order is cancelled", func() bool {
		m := w.last(messages.StreamEvents, messages.SubjectEvent+"unknown")
		return m != nil && strings.Contains(m.Header.Get(messages.HeaderEvent), "cancelled")
	})
}

// checkRetention: nothing is deleted for its age while the clocks differ by more than a minute.
func (w *wrongClock) checkRetention() {
	w.t.Helper()
	natstest.Eventually(w.t, "the first sweep", func() bool {
		log, err := os.ReadFile(w.log)
		if err != nil {
			w.t.Fatal(err)
		}
		return strings.Contains(string(log), "nothing is deleted for its age") || strings.Contains(string(log), "ended orders deleted")
	})
	if w.last(messages.StreamEvents, messages.SubjectEvent+"unknown") == nil {
		w.t.Errorf("an order that ended less than a minute ago is forgotten: %s", w.tail())
	}
}
