package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestFences checks the content of each fence by its kind.
func TestFences(t *testing.T) {
	for _, document := range documents(t) {
		for _, f := range fences(t, document) {
			switch f.kind {
			case "console", "": // transcripts have a test of their own
			case "python":
				if f.argument == "" {
					t.Errorf("%s:%d: the program has no file name", document, f.line)
				}
			case "go":
				if strings.Contains(f.argument, "/") && !strings.Contains(flatten(read(t, f.argument)), flatten(f.text)) {
					t.Errorf("%s:%d: this is not in %s", document, f.line, f.argument)
				}
				if f.argument == "" {
					t.Errorf("%s:%d: the code names no file", document, f.line)
				}
			case "yaml":
				if f.argument == "downstreams.yaml" {
					checkDownstreams(t, document, f)
				} else {
					checkPlan(t, document, f)
				}
			case "json":
				if !json.Valid([]byte(f.text)) {
					t.Errorf("%s:%d: not JSON", document, f.line)
				}
			case "sh":
				checkShell(t, document, f)
			default:
				t.Errorf("%s:%d: no test checks a fence of kind %q", document, f.line, f.kind)
			}
		}
	}
}

// flatten drops the indentation, so that a part of a function can be shown without it.
func flatten(text string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, ""))
}

func checkPlan(t *testing.T, document string, f fence) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(name, []byte(f.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Load(name, gateway.Check); err != nil {
		t.Errorf("%s:%d: %v", document, f.line, err)
	}
}

// checkDownstreams loads a file of downstreams next to the files that the documents name.
func checkDownstreams(t *testing.T, document string, f fence) {
	t.Helper()
	dir := t.TempDir()
	c := natstest.NewCertificates(t)
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"ca.pem": c.CA, "client.pem": c.ClientCert, "client.key": c.ClientKey,
		"secrets/payments-key": []byte("k"), "secrets/payments-token": []byte("t"), "downstreams.yaml": []byte(f.text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("REFUNDS_PASSWORD", "p")
	if _, err := directory.Load(filepath.Join(dir, "downstreams.yaml")); err != nil {
		t.Errorf("%s:%d: %v", document, f.line, err)
	}
}

var (
	makeTarget = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	repoFile   = regexp.MustCompile(`\b(?:deploy|docs|node|actors|messages|ingress|supervision)/[\w./-]+`)
)

// checkShell holds commands that no test runs to the targets and files there are.
func checkShell(t *testing.T, document string, f fence) {
	t.Helper()
	makefile := read(t, "Makefile")
	for _, m := range makeTarget.FindAllStringSubmatch(f.text, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
			t.Errorf("%s:%d: there is no make target %s", document, f.line, m[1])
		}
	}
	for _, name := range repoFile.FindAllString(f.text, -1) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s:%d: %v", document, f.line, err)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows each link to a file of the repository or a heading in it.
func TestLinks(t *testing.T) {
	for _, document := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, document), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if name != "" {
				target = filepath.Join(filepath.Dir(document), name)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", document, err)
				continue
			}
			if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s: %s has no heading #%s", document, target, anchor)
			}
		}
	}
}

// anchors are the headings of a document as links name them.
func anchors(t *testing.T, document string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, document), -1) {
		words := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(words, " ", "-")] = true
	}
	return all
}

// TestReadmeIsShort: the README is a page, not a manual.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines: at most 150 are allowed; the rest belongs into docs", lines)
	}
}
