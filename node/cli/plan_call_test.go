package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestPlanCheckCall: one step is called for real, and the request, the answer and its meaning are printed without secrets.
func TestPlanCheckCall(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=s3cret")
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/wrap":
			fmt.Fprintf(w, `{"done": {"data": {"paper": "blue", "key": %q, "results": %t}}}`, r.Header.Get("Idempotency-Key"), strings.Contains(string(body), `"results":{"pick":{"shelf":7}}`))
		case "/unwrap":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, strings.Repeat("x", 8<<10)+"\x1b[2J")
		}
	}))
	defer s.Close()
	path := write(t, "plan.yaml", fmt.Sprintf("name: gift\nversion: 1\nsteps:\n  - {name: wrap, do: '%s/wrap?tag=s3cret', undo: '%[1]s/unwrap'}\n  - {name: send, do: 'nats://send'}\n", s.URL))
	order := write(t, "order.json", sampleOrder("o-7"))
	results := write(t, "results.json", `{"pick": {"shelf": 7}}`)

	out := ok(t, noServer, "plan", "check", path, "--call", "wrap", "--order", order, "--results", results, "--yes")
	for _, want := range []string{
		"→ " + s.URL + "/wrap?…\n", "  Idempotency-Key: o-7/wrap/do\n", "  Orderly-Attempt: 1\n", `    "order_id": "o-7",` + "\n", "← answer 200 OK after ",
		"  Content-Type: application/json\n", "  Set-Cookie: ***\n", `        "key": "o-7/wrap/do",` + "\n", `        "results": true` + "\n",
		"done: the step is performed, and later steps see its data",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "s3cret") {
		t.Errorf("a secret is printed:\n%s", out)
	}

	p := command(t, noServer, "", "plan", "check", path, "--call", "wrap", "--undo", "--yes", "-o", "json")
	report := decode[callReport](t, p.out)
	if p.code != exitFailed || report.Understood || report.Status != 500 || len(report.Answer.Body) > 5<<10 ||
		!strings.HasPrefix(report.Sent.Body, "{\n") || !strings.Contains(report.Sent.Body, `"order_id": "check-`) || !strings.Contains(strings.Join(report.Sent.Headers, "\n"), "/wrap/undo") {
		t.Errorf("exit code %d\n%s%s", p.code, p.out, p.err)
	}
	if p := command(t, noServer, "", "plan", "check", path, "--call", "wrap", "--undo", "--yes"); strings.Contains(p.out, "\x1b") || p.code != exitFailed {
		t.Errorf("exit code %d\n%q", p.code, p.out)
	}

	for args, want := range map[string]string{
		"--call wrap":                           "wrap of order check-",
		"--call send --undo --yes":              "step send has no undo",
		"--call wrp --yes":                      `the plan has no step "wrp": want one of wrap, send`,
		"--undo":                                "--undo goes with --call",
		"--call wrap --yes " + path:             "--call goes with one plan file",
		"--call wrap --yes --order missing":     "open missing: no such file",
		"--call wrap --yes --results " + path:   "want a JSON object with the data of each step by its name",
		"--call wrap --order - ":                "add --yes if that is what you want",
		"--call send --yes":                     "cannot reach NATS",
		"--call wrap --yes --downstreams /none": "read file of downstreams",
	} {
		p := command(t, noServer, sampleOrder("o-1"), append([]string{"plan", "check", path}, strings.Fields(args)...)...)
		if p.code == exitOK || !strings.Contains(p.err, want) || p.out != "" {
			t.Errorf("%s: exit code %d\n%s%s\nwant %s", args, p.code, p.out, p.err, want)
		}
	}
}

// TestPlanCheckCallOverNATS: a step is called over the NATS of the environment; an error code is an answer.
func TestPlanCheckCallOverNATS(t *testing.T) {
	server := natstest.Start(t)
	nc := server.Connect()
	if _, err := nc.Subscribe("send", func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"503"}, "Nats-Service-Error": {"closed"}}})
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	path := write(t, "plan.yaml", "name: gift\nversion: 1\nsteps: [{name: send, do: 'nats://send'}]\n")
	p := command(t, []string{"NATS_URL=" + server.ClientURL()}, "", "plan", "check", path, "--call", "send", "--yes")
	for _, want := range []string{"→ nats://send\n", "  Idempotency-Key: check-", "← answer 503 Service Unavailable after ", "  Nats-Service-Error: closed\n", "\nerror: "} {
		if p.code != exitFailed || !strings.Contains(p.out, want) {
			t.Errorf("exit code %d, %q is missing in\n%s%s", p.code, want, p.out, p.err)
		}
	}
}

// TestDownstreamsOfPlanCheck: with a file of downstreams, the names in targets are checked against it, and calls go where it says.
func TestDownstreamsOfPlanCheck(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/wrap" || r.Header.Get("X-Key") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer s.Close()
	path := write(t, "plan.yaml", "name: gift\nversion: 1\nsteps: [{name: wrap, do: 'gifts/wrap'}, {name: send, do: 'shipping/send'}]\n")
	downstreams := write(t, "downstreams.yaml", fmt.Sprintf("gifts: {url: %q, headers: {X-Key: {env: GIFTS_KEY}}}\n", s.URL+"/v1"))
	t.Setenv("GIFTS_KEY", "s3cret")
	if p := command(t, noServer, "", "plan", "check", path); p.code != exitOK {
		t.Errorf("without a file:\n%s", p.err)
	}
	p := command(t, noServer, "", "plan", "check", path, "--downstreams", downstreams)
	if p.code != exitFailed || strings.Count(p.err, "\n") != 1 || !strings.Contains(p.err, ":3: step send: do: target names the downstream shipping, which "+downstreams+" lacks: it has gifts") {
		t.Errorf("exit code %d\n%s", p.code, p.err)
	}
	if out := ok(t, noServer, "plan", "show", path, "--downstreams", downstreams); !strings.Contains(out, "do        gifts/wrap  → service gifts,") {
		t.Errorf("got\n%s", out)
	}
	one := write(t, "plan.yaml", "name: gift\nversion: 1\nsteps: [{name: wrap, do: 'gifts/wrap'}]\n")
	out := ok(t, noServer, "plan", "check", one, "--downstreams", downstreams, "--call", "wrap", "--yes")
	if !strings.Contains(out, "← answer 200 OK") || !strings.Contains(out, "  X-Key: ***\n") || strings.Contains(out, "s3cret") {
		t.Errorf("got\n%s", out)
	}
}
