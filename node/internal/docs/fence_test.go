package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

// fence is one fenced block of a document.
type fence struct {
	// kind and argument are the words after the backticks.
	kind, argument string
	// line is the number of the first line in the fence.
	line int
	text string
}

// documents are the paths of all documents, relative to root.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("docs has no documents")
	}
	for i, name := range names {
		names[i] = "docs/" + filepath.Base(name)
	}
	return append(names, "README.md", "CONTRIBUTING.md", "SECURITY.md")
}

// read returns the text of a file in the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fences returns the fenced blocks of a document, in order.
func fences(t *testing.T, document string) []fence {
	t.Helper()
	var all []fence
	var open *fence
	number := 0
	for line := range strings.Lines(read(t, document)) {
		number++
		word, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			kind, argument, _ := strings.Cut(strings.TrimSpace(word), " ")
			open = &fence{kind: kind, argument: argument, line: number + 1}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the fence is not closed", document, open.line)
	}
	return all
}
