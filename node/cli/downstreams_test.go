package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestDownstreams: a node calls the services that its plan names, with their credentials; neither its output nor "orderly config"
// shows them.
func TestDownstreams(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/wrap" || r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	defer service.Close()
	environ := []string{
		"ORDERLY_LOG_LEVEL=debug",
		"ORDERLY_DOWNSTREAMS=" + write(t, "downstreams.yaml", "payments: {url: '"+service.URL+"/v1', bearer: {file: "+write(t, "token", "s3cret\n")+"}}"),
		"ORDERLY_PLAN=" + write(t, "plan.yaml", "name: gift\nversion: 1\nsteps: [{name: wrap, do: payments/wrap}]"),
	}
	p := start(t, nil, environ...)
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "completed")
	out := ok(t, environ, "config") + ok(t, p.environ, "get", "o-1", "-o", "json")
	p.stop()
	p.wait(t)
	if all := out + p.out.String() + p.err.String(); strings.Contains(all, "s3cret") {
		t.Errorf("the output shows a secret:\n%s", all)
	}
}

// TestWrongDownstreamsStopTheStart: the node prints a line for each problem of the file, and which downstream its plan lacks.
func TestWrongDownstreamsStopTheStart(t *testing.T) {
	t.Parallel()
	wrong := write(t, "downstreams.yaml", "payments: {url: 'https://pay.example', bearer: s3cret}\nstock: {}\n")
	p := startNoWait(t, nil, "ORDERLY_DOWNSTREAMS="+wrong)
	if code := p.wait(t); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"line 1: payments: bearer: a secret does not belong into this file: want {file: path} or {env: NAME}", "line 2: stock: want exactly one of url and nats",
	} {
		if want := "orderly: ORDERLY_DOWNSTREAMS: " + wrong + ": file of downstreams is invalid: " + want; !strings.Contains(p.err.String(), want) {
			t.Errorf("%s\nis missing in\n%s", want, p.err)
		}
	}
	if strings.Contains(p.err.String(), "s3cret") {
		t.Errorf("the output shows a secret:\n%s", p.err)
	}
	requireStartFailure(t, "ORDERLY_DOWNSTREAMS: read file of downstreams: ", nil, "ORDERLY_DOWNSTREAMS="+filepath.Join(t.TempDir(), "missing"))

	plan := write(t, "plan.yaml", "name: gift\nversion: 1\nsteps:\n  - {name: wrap, do: payments/wrap}\n")
	file := write(t, "downstreams.yaml", "stock: {nats: shop.stock}")
	const lacks = "line 4: step wrap: do: target names the downstream payments, which "
	requireStartFailure(t, lacks+file+" lacks: it has stock", nil, "ORDERLY_PLAN="+plan, "ORDERLY_DOWNSTREAMS="+file)
	requireStartFailure(t, "set ORDERLY_DOWNSTREAMS", nil, "ORDERLY_PLAN="+plan)

	if check := command(t, append(noServer, "ORDERLY_DOWNSTREAMS="+file), "", "plan", "check", plan); check.code != exitFailed ||
		!strings.Contains(check.err, plan+":4: step wrap: do: target names the downstream payments") {
		t.Errorf("exit code %d\n%s", check.code, check.err)
	}
	if check := command(t, noServer, "", "plan", "check", plan); check.code != exitOK {
		t.Errorf("without a file of downstreams: exit code %d\n%s", check.code, check.err)
	}
	wrong = write(t, "downstreams.yaml", "stock: {}")
	requireFailure(t, command(t, append(noServer, "ORDERLY_DOWNSTREAMS="+wrong), "", "plan", "check", plan), exitFailed, "ORDERLY_DOWNSTREAMS: ")
}
