package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/plan"
	"google.golang.org/protobuf/proto"
)

// TestPlanCheck: a line for each error on standard error, a line for each valid plan on standard output, without a server.
func TestPlanCheck(t *testing.T) {
	good := write(t, "good.yaml", "name: gift\nversion: 3\nsteps:\n  - {name: wrap, do: 'nats://wrap'}\n")
	warned := write(t, "warned.yaml", "name: gift\nversion: 4\nsteps:\n  - {name: wrap, do: 'nats://wrap'}\n  - {name: send, do: 'nats://send', timeout: 11s}\n")
	bad := write(t, "bad.yaml", "name: gift\nversion: 0\nsteps:\n  - {name: wrap, do: 'mailto:x', timeout: 2}\n")
	missing := filepath.Join(t.TempDir(), "missing.yaml")

	p := command(t, noServer, "", "plan", "check", good, warned)
	if want := fmt.Sprintf("%s: plan gift v3, 1 step: ok\n%s: plan gift v4, 2 steps: ok\n", good, warned); p.code != exitOK || p.out != want {
		t.Errorf("exit code %d\n%swant\n%s", p.code, p.out, want)
	}
	if lines := strings.Split(p.err, "\n"); len(lines) != 3 ||
		!strings.HasPrefix(lines[0], warned+":4: warning: step wrap: there is no undo") || !strings.HasPrefix(lines[1], warned+":5: warning: step send: timeout is 11s, more than 10s") {
		t.Errorf("warnings are\n%s", p.err)
	}
	if p := command(t, []string{"ORDERLY_HOLD=20s"}, "", "plan", "check", warned); strings.Contains(p.err, "timeout") {
		t.Errorf("with a larger ORDERLY_HOLD:\n%s", p.err)
	}

	p = command(t, noServer, "", "plan", "check", bad, missing, good)
	want := []string{
		bad + ":2: version is missing or 0: want at least 1",
		bad + ":4: step wrap: do: target has an unknown scheme",
		bad + `:4: step wrap: timeout: "2" is not a duration`,
		missing + ": open plan file: ",
	}
	lines := strings.Split(strings.TrimSpace(p.err), "\n")
	if p.code != exitFailed || p.out != good+": plan gift v3, 1 step: ok\n" || len(lines) != len(want) {
		t.Errorf("exit code %d\n%s%s", p.code, p.out, p.err)
	}
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, w) }) {
			t.Errorf("%s\nis missing in\n%s", w, p.err)
		}
	}

	p = command(t, noServer, "", "plan", "check", bad, warned, missing, "-o", "json")
	reports := decode[[]planReport](t, p.out)
	if p.code != exitFailed || p.err != "" || len(reports) != 3 {
		t.Fatalf("exit code %d\n%s%s", p.code, p.out, p.err)
	}
	if r := reports[0]; r.OK || r.File != bad || len(r.Errors) != 3 || r.Errors[0] != (plan.Problem{Line: 2, Field: "version", Text: "version is missing or 0: want at least 1"}) ||
		r.Errors[2].Step != "wrap" || r.Errors[2].Line != 4 {
		t.Errorf("got %+v", r)
	}
	if r := reports[1]; !r.OK || r.Plan != "gift" || r.Version != 4 || r.Steps != 2 || len(r.Errors) != 0 || len(r.Warnings) != 2 {
		t.Errorf("got %+v", r)
	}
	if r := reports[2]; r.OK || len(r.Errors) != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestPlanShow: a plan is drawn from a file, or by the name and version under which nodes registered it; as JSON it is a plan file.
func TestPlanShow(t *testing.T) {
	t.Parallel()
	const text = "name: gift\nversion: %d\nsteps:\n  - {name: wrap, do: 'nats://wrap.v%[1]d', undo: 'nats://wrap.undo', limits: {concurrency: 0}, in_doubt: undo, " +
		"reply: {rejected_when: 'body.ok == false', code: body.code}, nothing_to_undo: [gone]}\n"
	path := write(t, "gift.yaml", fmt.Sprintf(text, 9))
	environ := []string{"ORDERLY_DATA_DIR=" + filepath.Join(t.TempDir(), "data")}
	for _, version := range []int{2, 10} { // 10 is higher than 2
		node := start(t, nil, append(environ, "ORDERLY_PLAN="+write(t, "plan.yaml", fmt.Sprintf(text, version)))...)
		if version == 10 {
			for arg, want := range map[string]string{"gift": "v10", "gift@2": "v2", "gift@10": "v10", path: "v9"} {
				out := ok(t, node.environ, "plan", "show", arg)
				if !strings.HasPrefix(out, "plan gift "+want+", 1 step\n") || !strings.Contains(out, "nats://wrap."+want) {
					t.Errorf("%s:\n%s", arg, out)
				}
			}
			requireFailure(t, command(t, node.environ, "", "plan", "show", "gift@3"), exitFailed, "no file and no registered plan is named gift@3")
			requireFailure(t, command(t, node.environ, "", "plan", "show", "order"), exitFailed, "no file and no registered plan is named order")
		}
		node.stop()
		node.wait(t)
	}

	out := ok(t, noServer, "plan", "show", path, "-o", "json")
	again, err := plan.Parse([]byte(out), nil)
	if err != nil {
		t.Fatal(err)
	}
	original, err := plan.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(again, original) {
		t.Errorf("as JSON\n%s\nit is another plan:\n%s\n%s", out, again, original)
	}
	if strings.Contains(out, `""`) {
		t.Errorf("it has empty fields:\n%s", out)
	}
	if out := ok(t, noServer, "plan", "show", path, "-o", "mermaid"); !strings.HasPrefix(out, "flowchart TD\n") {
		t.Errorf("got %s", out)
	}
	requireFailure(t, command(t, noServer, "", "plan", "show", "gift"), exitFailed, "cannot reach NATS")
	requireFailure(t, command(t, noServer, "", "plan", "show", "missing.yaml"), exitFailed, "missing.yaml: no such file")
}
