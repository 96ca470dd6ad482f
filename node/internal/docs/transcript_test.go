package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// patience bounds the wait for the expected output of a command: ten attempts of a step take up to a minute.
const patience = 3 * time.Minute

// TestTranscripts runs the console fences of each document, one after the other, as a reader would: in an empty
// directory, with a node of the document's own.
func TestTranscripts(t *testing.T) {
	for _, document := range documents(t) {
		all := fences(t, document)
		if !slices.ContainsFunc(all, func(f fence) bool { return f.kind == "console" }) {
			continue
		}
		t.Run(filepath.Base(document), func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			if !strings.Contains(read(t, document), "$ make run") {
				s.background("bin/orderly run --demo")
				s.until("the node to be ready", func() bool { return s.run("bin/orderly health").code == 0 })
			}
			for _, f := range all {
				switch f.kind {
				case "console":
					s.play(document, f)
				case "python", "go", "yaml":
					if f.argument != "" && !strings.Contains(f.argument, "/") {
						s.write(f.argument, f.text)
					}
				}
			}
		})
	}
}

// session is a shell in its own directory.
type session struct {
	t *testing.T
	// dir is where commands run, root the module.
	dir, root string
	environ   []string
	// addresses of the documents, and those of this session.
	replaced *strings.Replacer
	restored *strings.Replacer
	// stopNode stops the node that runs, if one does: a document has one node at a time.
	stopNode func()
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, dir: t.TempDir(), stopNode: func() {}}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orderly", "nats"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if s.root, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}
	natsAddr, httpAddr, serviceAddr := natstest.FreeAddr(t), natstest.FreeAddr(t), natstest.FreeAddr(t)
	host, port, _ := strings.Cut(serviceAddr, ":")
	s.replaced = strings.NewReplacer("127.0.0.1:4222", natsAddr, "127.0.0.1:8080", httpAddr, "127.0.0.1:8091", serviceAddr,
		`"127.0.0.1", 8091`, fmt.Sprintf("%q, %s", host, port))
	s.restored = strings.NewReplacer(natsAddr, "127.0.0.1:4222", httpAddr, "127.0.0.1:8080", serviceAddr, "127.0.0.1:8091")
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "ORDERLY_") && !strings.HasPrefix(name, "NATS_") && !strings.HasPrefix(name, "OTEL_") {
			s.environ = append(s.environ, v)
		}
	}
	s.environ = append(s.environ, "PATH="+bin+":"+os.Getenv("PATH"), "ORDERLY_NATS_ADDR="+natsAddr, "ORDERLY_HTTP_ADDR="+httpAddr,
		"ORDERLY_LOG_LEVEL=error", "ORDERLY_NODE_ID=node-1",
		// No random failures of the demo services.
		"ORDERLY_DEMO_FAIL_RATE=0", "ORDERLY_DEMO_REJECT_RATE=0")
	return s
}

// write stores a program of the document.
func (s *session) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(s.replaced.Replace(text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

type result struct {
	out  string
	code int
}

// run runs a command line to its end.
func (s *session) run(line string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, line)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return result{string(out), cmd.ProcessState.ExitCode()}
}

func (s *session) command(ctx context.Context, line string) *exec.Cmd {
	// A Go program of a document is in no module of its own: it is built in this one.
	line = strings.Replace(line, "go run main.go", "(cd "+s.root+" && go build -o "+s.dir+"/program "+s.dir+"/main.go) && exec ./program", 1)
	cmd := exec.CommandContext(ctx, "sh", "-c", s.replaced.Replace(line))
	cmd.Dir = s.dir
	cmd.Env = slices.Clone(s.environ)
	if !strings.Contains(line, "orderly run") {
		cmd.Env = append(cmd.Env, s.replaced.Replace("NATS_URL=nats://127.0.0.1:4222"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// background starts a command that runs until the test ends, and returns its output so far.
func (s *session) background(line string) func() string {
	s.t.Helper()
	isNode := regexp.MustCompile(`orderly run|go run`).MatchString(line)
	if isNode {
		s.stopNode()
	}
	var out output
	cmd := s.command(context.Background(), line)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer kill.Stop()
		_ = cmd.Wait()
	})
	if isNode {
		s.stopNode = stop
	}
	s.t.Cleanup(func() {
		stop()
		if s.t.Failed() {
			s.t.Logf("%s printed\n%s", line, out.String())
		}
	})
	return out.String
}

// until waits until ok.
func (s *session) until(what string, ok func() bool) {
	s.t.Helper()
	if !s.eventually(ok) {
		s.t.Fatalf("timed out waiting for %s", what)
	}
}

// eventually reports whether ok becomes true within patience.
func (s *session) eventually(ok func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !ok(); {
		if time.Since(begun) > patience {
			return false
		}
		select {
		case <-s.t.Context().Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// play runs the commands of a transcript and compares their output with it. A command that only reads is repeated until
// it prints that.
func (s *session) play(document string, f fence) {
	s.t.Helper()
	for i, step := range strings.Split("\n"+f.text, "\n$ ") {
		if i == 0 {
			continue // before the first command
		}
		line, want, _ := strings.Cut(strings.ReplaceAll(step, "\\\n", ""), "\n")
		line = strings.TrimSpace(line)
		where := fmt.Sprintf("%s, in the transcript at line %d: %s", document, f.line, line)
		if line == "make run" {
			line = "bin/orderly run --demo &" // the commands of the target, which TestMakeRun checks
		}
		if program, ok := strings.CutSuffix(line, " &"); ok {
			printed := s.background(program)
			if !s.eventually(func() bool { return s.match(printed(), want) }) {
				s.t.Fatalf("%s\nprinted\n%s\nbut the document has\n%s", where, s.restored.Replace(printed()), want)
			}
			continue
		}
		got := s.run(line)
		matches := s.match(got.out, want)
		if !matches && reads(line) {
			matches = s.eventually(func() bool {
				got = s.run(line)
				return s.match(got.out, want)
			})
		}
		if !matches {
			s.t.Fatalf("%s\nprinted (exit code %d)\n%s\nbut the document has\n%s", where, got.code, s.restored.Replace(got.out), want)
		}
	}
}

// reads reports whether a command changes nothing.
func reads(line string) bool {
	return regexp.MustCompile(`^(bin/)?orderly (get|list|verify|dead list|demo stats)\b`).MatchString(line) ||
		strings.HasPrefix(line, "curl ") && !strings.Contains(line, "-X") && !strings.Contains(line, "-d")
}

// match compares the output with a document; "…" alone on a line matches any lines.
func (s *session) match(got, want string) bool {
	pattern := `^`
	for line := range strings.Lines(strings.TrimSpace(want)) {
		if strings.TrimSpace(line) == "…" {
			pattern += `(?s:.*)`
			continue
		}
		pattern += regexp.QuoteMeta(strings.TrimSpace(normalize(line))) + `\s*`
	}
	return regexp.MustCompile(pattern + `$`).MatchString(normalize(s.restored.Replace(strings.TrimSpace(got))))
}

// varying lists patterns of output that may differ between two runs, and their replacements.
var varying = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ns|µs|ms|s|m|h)(\d+(\.\d+)?(ms|s|m))*\b|\bjust now\b`), "DURATION"},
	{regexp.MustCompile(`DURATION ago`), "DURATION"},
	{regexp.MustCompile(`\(\d+ orders/s\)`), "(RATE)"},
	{regexp.MustCompile(`orderly (dev|v?[0-9a-f.]+(-\w+)*), node [\w-]+`), "orderly VERSION, node NODE"},
	{regexp.MustCompile(`\b[a-z0-9]{8}-0001\b`), "GENERATED"},
	{regexp.MustCompile(`\bcheck-[A-Z2-7]{10}\b`), "GENERATED"},
	{regexp.MustCompile(`"r-[a-z0-9]{8,13}"`), `"RESERVATION"`},
	{regexp.MustCompile(`(?m)\d+ completed(, \d+ rejected)?$`), "ENDED"},
	// Progress, once a second: whether a line of it is printed depends on how busy the machine is.
	{regexp.MustCompile(`(?m)^(\d+ stored(, \d+ ended, \d+ open)?|\d+ of \d+ sent)\n`), ""},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` ?\n ?`), "\n"},
}

// TestProgressIsIgnored: a busy machine prints progress, which no document shows.
func TestProgressIsIgnored(t *testing.T) {
	const summary = "1 order stored, 1 ended in 1.8 s\n  completed  1\n"
	for _, progress := range []string{"1 stored, 0 ended, 1 open\n", "7 stored\n", "3 of 8 sent\n"} {
		if got := normalize(progress + summary); got != normalize(summary) {
			t.Errorf("%q becomes %q", progress+summary, got)
		}
	}
	if normalize("1 order stored") == "" {
		t.Error("a summary is taken for progress")
	}
}

func normalize(text string) string {
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.by)
	}
	return text
}

// output collects what a program prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// TestMakeRun: the transcripts start a node as make run does.
func TestMakeRun(t *testing.T) {
	if !regexp.MustCompile(`(?m)^run: build .*\n\t.*bin/orderly run --demo$`).MatchString(read(t, "Makefile")) {
		t.Error("make run does not run bin/orderly run --demo")
	}
}
