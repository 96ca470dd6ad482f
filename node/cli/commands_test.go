package cli

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/bench"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/servicecheck"
	"github.com/orderly-engine/orderly/node/timeline"
)

// noServer is an environment without a NATS server.
var noServer = []string{"NATS_URL=nats://127.0.0.1:1"}

// TestWrongUse: every usage error is one line that says what is wrong and what to do, with exit code 2.
func TestWrongUse(t *testing.T) {
	for args, want := range map[string]string{
		"publi":                                  `there is no command "orderly publi"; did you mean "orderly publish"?`,
		"lst":                                    `there is no command "orderly lst"; did you mean "orderly list"?`,
		"ver":                                    `there is no command "orderly ver"; did you mean "orderly verify"?`,
		"xyz":                                    `there is no command "orderly xyz"; see "orderly --help"`,
		"frobnicate":                             `there is no command "orderly frobnicate"; see "orderly --help"`,
		"dead shwo":                              `there is no command "orderly dead shwo"; did you mean "orderly dead show"?`,
		"--nope":                                 `unknown flag: --nope; see "orderly --help"`,
		"run now":                                `unexpected argument "now": want "orderly run"; see "orderly run --help"`,
		"publish":                                `nothing to publish: name files, "-" for standard input, or -n N; see "orderly publish --help"`,
		"publish -n -1":                          `-n is -1: want 1–10000000`,
		"publish -n many":                        `-n, --generate is "many": want a whole number; see "orderly publish --help"`,
		"publish -n 1 --rate -1":                 `--rate is -1: want 0 or more`,
		"publish -n 1 --rate NaN":                `--rate is NaN: want 0 or more`,
		"publish -n 1 --rate fast":               `--rate is "fast": want a number; see`,
		"publish -n 1 --wait=perhaps":            `--wait is "perhaps": want true or false; see`,
		"publish -n 1 --timeout 5":               `--timeout is "5": want a duration with its unit (ms, s, m, h); see`,
		"publish -n 1 --timeout 0s":              `--timeout is 0s: want more than 0`,
		"publish -n 1 -o xml":                    `-o, --output is "xml": want text or json; see "orderly publish --help"`,
		"get":                                    `ID is missing: want "orderly get ID"; see "orderly get --help"`,
		"get a b":                                `unexpected argument "b": want "orderly get ID"`,
		"get a.b":                                `order id "a.b" has a character outside A–Z a–z 0–9 _ -`,
		"get " + strings.Repeat("x", 65):         `order id has 65 characters: at most 64 are allowed`,
		"cancel":                                 `ID is missing: want "orderly cancel ID"`,
		"cancel o-1 --dry-run --wait":            `--dry-run publishes nothing to --wait for: leave out one of them`,
		"cancel o-1 --wait --timeout 0s":         `--timeout is 0s: want more than 0`,
		"cancel o-1 -o json":                     `-o json goes with --dry-run or --wait`,
		"retry a/b":                              `order id "a/b" has a character outside`,
		"skip":                                   `ID is missing: want "orderly skip ID"`,
		"signal o-1":                             `NAME is missing: want "orderly signal ID NAME [JSON]"`,
		"signal o-1 paid {":                      `signal data "{" is not JSON`,
		"dead show":                              `SEQ is missing: want "orderly dead show SEQ"`,
		"dead show first":                        `invalid sequence "first": want a number from "orderly dead list"`,
		"dead show 0":                            `invalid sequence "0"`,
		"dead list --limit -1":                   `--limit is -1: want 1 or more, or 0 for all`,
		"dead list --limit abc":                  `--limit is "abc": want a whole number; see "orderly dead list --help"`,
		"dead list --order a.b":                  `order id "a.b" has a character outside`,
		"dead redrive":                           `name the sequences of dead letters, or --all`,
		"dead redrive 1 --all":                   `name the sequences of dead letters, or --all`,
		"dead redrive 1 --reason x":              `--reason and --order go with --all`,
		"dead redrive --all --reason=":           `--reason is empty: want a value, or leave it out`,
		"dead redrive --all --order=":            `--order is empty: want a value, or leave it out`,
		"verify all":                             `unexpected argument "all": want "orderly verify"`,
		"version 2":                              `unexpected argument "2": want "orderly version"`,
		"config NATS_URL":                        `unexpected argument "NATS_URL": want "orderly config"`,
		"bench --rounds 101 -n 5":                `rounds is 101: want 1–100`,
		"bench --durability careless":            `mode "careless": want relaxed or strict`,
		"plan check":                             `FILE is missing: want "orderly plan check FILE…"; see "orderly plan check --help"`,
		"plan show":                              `FILE|NAME[@VERSION] is missing: want "orderly plan show FILE|NAME[@VERSION]"; see "orderly plan show --help"`,
		"plan show x -o yaml":                    `-o, --output is "yaml": want text, json or mermaid; see "orderly plan show --help"`,
		"check-service":                          `--do is missing: want "orderly check-service --do URL [--undo URL]"`,
		"check-service --do mailto:x":            `--do: target has an unknown scheme`,
		"check-service --do sim: --undo x:":      `--undo: target`,
		"check-service --do sim: --encoding xml": `--encoding is "xml": want json or protobuf`,
		"check-service --do sim: --timeout 0s":   `--timeout is 0s: want more than 0`,
		"check-service --do sim:":                `the service performs the step for up to 4 test orders, and nothing undoes it: add --yes if that is what you want`,
		"health check":                           `unexpected argument "check": want "orderly health"`,
	} {
		t.Run(args, func(t *testing.T) {
			p := command(t, noServer, "", strings.Fields(args)...)
			requireFailure(t, p, exitUsage, want)
		})
	}
	for name, want := range map[string]string{
		"":                                      `NAME is empty: want the signal the step waits for, which "orderly get" shows`,
		"\xff":                                  `NAME is "\xff": want UTF-8`,
		strings.Repeat("x", messages.MaxName+1): `NAME has 257 bytes: at most 256 are allowed`,
	} {
		requireFailure(t, command(t, noServer, "", "signal", "o-1", name), exitUsage, want)
	}
}

// requireFailure checks that a command failed with one line on standard error that contains want.
func requireFailure(t *testing.T, p result, code int, want string) {
	t.Helper()
	if p.code != code {
		t.Errorf("exit code %d: want %d", p.code, code)
	}
	if p.out != "" {
		t.Errorf("standard output has %q", p.out)
	}
	if !strings.HasPrefix(p.err, "orderly: ") || strings.Count(p.err, "\n") != 1 || !strings.Contains(p.err, want) {
		t.Errorf("standard error has\n%s\nwant one line with\n%s", p.err, want)
	}
}

// TestNATSUnreachable: a client command without a server names the URL and says what to do.
func TestNATSUnreachable(t *testing.T) {
	for _, args := range []string{
		"publish -n 1", "publish -n 1 --wait", "get o-1", "get o-1 --follow", "cancel o-1", "cancel o-1 --dry-run", "cancel o-1 --wait", "signal o-1 paid", "retry o-1", "skip o-1", "list", "retry --all",
		"dead list", "dead show 1", "dead redrive 1", "dead redrive --all", "verify",
	} {
		t.Run(args, func(t *testing.T) {
			requireFailure(t, command(t, []string{"NATS_URL=nats://user:secret@127.0.0.1:1"}, "", strings.Fields(args)...), exitFailed,
				`cannot reach NATS at nats://***@127.0.0.1:1: nats: no servers available for connection; start a node with "orderly run", or set NATS_URL`)
		})
	}
}

// TestNoStreams: on a server where no node ever started, client commands fail with that reason.
func TestNoStreams(t *testing.T) {
	environ := []string{"NATS_URL=" + natstest.Start(t).ClientURL()}
	for _, args := range []string{
		"publish -n 1 --wait", "get o-1", "cancel o-1", "dead list", "dead show 1", "dead redrive 1", "dead redrive --all", "verify",
	} {
		t.Run(args, func(t *testing.T) {
			requireFailure(t, command(t, environ, "", strings.Fields(args)...), exitFailed, "no node has ever started on NATS at nats://127.0.0.1:")
		})
	}
	t.Run("publish", func(t *testing.T) {
		p := command(t, environ, "", "publish", "-n", "2")
		if p.code != exitFailed || strings.Count(p.err, "no stream takes the message") != 2 || !strings.Contains(p.out, "0 orders stored, 2 not published") {
			t.Errorf("exit code %d\n%s%s", p.code, p.out, p.err)
		}
	})
}

// TestHelp: every command has a help of short lines.
func TestHelp(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "completion" || cmd.Name() == "help" {
			return
		}
		p := command(t, nil, "", append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if p.code != exitOK || p.err != "" || !strings.Contains(p.out, cmd.CommandPath()) || cmd.Short == "" {
			t.Errorf("%s --help: exit code %d\n%s%s", cmd.CommandPath(), p.code, p.out, p.err)
		}
		for line := range strings.Lines(p.out) {
			if n := len([]rune(line)); n > 140 {
				t.Errorf("%s --help has a line of %d characters: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(terminal{}))
}

// TestEveryCommandIsDocumented: docs/cli.md names every command.
func TestEveryCommandIsDocumented(t *testing.T) {
	text := document(t, "cli.md")
	for _, cmd := range newRoot(terminal{}).Commands() {
		if !regexp.MustCompile("`(orderly )?" + cmd.Name() + `\b`).MatchString(text) {
			t.Errorf("docs/cli.md does not name the command %s", cmd.Name())
		}
	}
}

func TestVersion(t *testing.T) {
	if out := ok(t, nil, "version"); !regexp.MustCompile(`^orderly \S+ \(commit \S+, go1\.\S+, \w+/\w+\)\n$`).MatchString(out) {
		t.Errorf("got %q", out)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if want := "= " + reflect.TypeFor[terminal]().PkgPath() + "\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile sets version and commit in another package than %s", want)
	}
}

// TestConfig: effective values are shown, secrets are not.
func TestConfig(t *testing.T) {
	environ := []string{"NATS_URL=nats://user:secret@db:4222", "NATS_NKEY=SUsecret", "ORDERLY_HOLD=3s"}
	text := ok(t, environ, "config")
	for _, want := range []string{"NATS_URL                  nats://***@db:4222 ", "NATS_NKEY                 *** ", "ORDERLY_HOLD              3s ", "(built-in order plan)"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	out := ok(t, environ, "config", "-o", "json")
	if strings.Contains(text+out, "secret@") || strings.Contains(text+out, "SUsecret") {
		t.Errorf("a secret is shown:\n%s%s", text, out)
	}
	for _, e := range decode[[]map[string]any](t, out) {
		hasKeys(t, e, "allowed", "default", "meaning", "name", "secret", "value")
	}
}

// TestJSONIsDocumented: the table of fields in docs/cli.md matches the types.
func TestJSONIsDocumented(t *testing.T) {
	text := document(t, "cli.md")
	for row, v := range map[string]any{
		"`publish`": summary{}, "`get`, `cancel --wait`": timeline.View{}, "`get`, `driver`": timeline.Driver{}, "`get`, `next`": timeline.Next{},
		"`get`, each event; `get --follow`, each line": timeline.Event{}, "`cancel --dry-run`": timeline.Cancellation{}, "`config`": config.Entry{}, "`bench`": bench.Report{},
		"`plan check`": planReport{}, "`plan check`, each error and warning": plan.Problem{},
		"`plan check --call`": callReport{}, "`check-service`": servicecheck.Report{},
		"`list`": index.Page{}, "`list`, each order": index.Order{},
	} {
		_, rest, found := strings.Cut(text, "| "+row+" | ")
		line, _, _ := strings.Cut(rest, "\n")
		var documented []string
		for _, m := range regexp.MustCompile("(\\[?)`(\\w+)`").FindAllStringSubmatch(line, -1) {
			documented = append(documented, m[1]+m[2])
		}
		var want []string
		for f := range reflect.TypeOf(v).Fields() {
			if !f.IsExported() {
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if options == "omitempty" {
				name = "[" + name
			}
			want = append(want, name)
		}
		if !found || !slices.Equal(documented, want) {
			t.Errorf("docs/cli.md: the row %s has %v: want %v", row, documented, want)
		}
	}
}

// hasKeys checks that a stable JSON form has exactly these keys.
func hasKeys(t *testing.T, v map[string]any, want ...string) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(v)); !slices.Equal(got, want) {
		t.Errorf("keys are %v: want %v", got, want)
	}
}

// TestWrongEnvironment: each problem is a line that names the variable, its value and the valid values; exit code 1.
func TestWrongEnvironment(t *testing.T) {
	environ := []string{"ORDERLY_ACK_WAIT=soon", "ORDERLY_REPLICAS=2", "ORDERLY_DURABILTY=strict", "NATS_URL=ftp://x"}
	for _, args := range []string{"run", "config", "publish -n 1", "get o-1", "verify", "dead list", "health"} {
		t.Run(args, func(t *testing.T) {
			p := command(t, environ, "", strings.Fields(args)...)
			if p.code != exitFailed || p.out != "" || strings.Count(p.err, "\n") != 4 {
				t.Errorf("exit code %d\n%s%s", p.code, p.out, p.err)
			}
			for _, want := range []string{
				`orderly: ORDERLY_ACK_WAIT="soon" is not allowed: want a duration with its unit (ms, s, m, h) from 100ms to 1h`,
				`orderly: ORDERLY_REPLICAS="2" is not allowed: want 1, 3 or 5`,
				`orderly: ORDERLY_DURABILTY is not a variable of orderly: did you mean ORDERLY_DURABILITY?`,
				`orderly: NATS_URL="ftp://x" is not allowed: want URLs of NATS servers separated by commas, for example nats://127.0.0.1:4222`,
			} {
				if !strings.Contains(p.err, want+"\n") {
					t.Errorf("%s\nis missing in\n%s", want, p.err)
				}
			}
		})
	}
}
