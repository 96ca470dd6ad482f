package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/orderly-engine/orderly/actors/plan"
)

const (
	// maxFile is the size of the largest file of downstreams, in bytes.
	maxFile    = 256 << 10
	maxEntries = 256

	wantEntries = "name: {url: …} or name: {nats: …}, for each downstream"
)

// Load reads the file of downstreams at path, and the files of secrets and certificates that it names. Unless the file cannot be
// read, the error is an *InvalidError.
func Load(path string) (*Directory, error) {
	text, err := readFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read file of downstreams: %w", err)
	}
	return parse(text, path, filepath.Dir(path))
}

// Parse is Load for the text of a file. Relative paths in it are relative to dir.
func Parse(text []byte, dir string) (*Directory, error) {
	return parse(text, "", dir)
}

func parse(text []byte, file, dir string) (*Directory, error) {
	ps := &problems{}
	d := &Directory{file: file, entries: map[string]*Entry{}}
	if file == "" {
		d.file = "the file of downstreams"
	}
	d.log.Store(slog.New(slog.DiscardHandler))
	if document := readDocument(ps, text); document != nil {
		r := &reader{directory: d, dir: dir}
		r.entries(node{Node: document, problems: ps})
	}
	if err := ps.err(file); err != nil {
		return nil, err
	}
	slices.SortStableFunc(d.prefixes, func(a, b prefix) int { return len(b.path) - len(a.path) })
	return d, nil
}

// readDocument returns the root of the document, or nil.
func readDocument(ps *problems, text []byte) *yaml.Node {
	if len(text) > maxFile {
		ps.add(Problem{Text: fmt.Sprintf("it has more than %d bytes", maxFile)})
		return nil
	}
	var document, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0:
		ps.add(Problem{Text: "it is empty: want " + wantEntries})
	case err != nil:
		ps.add(Problem{Text: syntaxError(err)})
	case !errors.Is(decoder.Decode(&more), io.EOF):
		ps.add(Problem{Text: "it has more than one document"})
	default:
		return document.Content[0]
	}
	return nil
}

var yamlLine = regexp.MustCompile(`\bline \d+\b`)

// syntaxError keeps the line of the parser's error, but not its text, which may repeat a secret.
func syntaxError(err error) string {
	text := "it is neither YAML nor JSON"
	if line := yamlLine.FindString(err.Error()); line != "" {
		text += ": see " + line
	}
	return text
}

// reader reads the entries of a file.
type reader struct {
	directory *Directory
	// dir is that of relative paths.
	dir string
}

func (r *reader) entries(root node) {
	d := r.directory
	all := root.pairs(maxEntries, wantEntries)
	if root.Kind == yaml.MappingNode && len(root.Content) == 0 {
		root.fail("it has no downstreams: want %s", wantEntries)
	}
	for _, p := range all {
		if !plan.IsDownstreamName(p.key) {
			p.at.fail("name %.80q: want 1–64 characters of a–z 0–9 _ - beginning with a letter", p.key)
			continue
		}
		d.entries[p.key] = defaultEntry(p.key, true)
	}
	for _, p := range all {
		if e := d.entries[p.key]; e != nil {
			p.at.entry = p.key
			r.entry(e, p.at.with(p.value))
		}
	}
}

// LogTo sends the warnings about the file to log, unless they were sent before, and from then on those about the files of
// secrets that it names. Without it they are dropped.
func (d *Directory) LogTo(log *slog.Logger) {
	if d == nil {
		return
	}
	d.log.Store(log)
	d.mu.Lock()
	defer d.mu.Unlock()
	warnings := d.warnings
	d.warnings = nil
	for _, w := range warnings {
		log.Warn("downstream is set up insecurely", "downstream", w.entry, "warning", w.text)
	}
}

type warning struct{ entry, text string }

func (d *Directory) warn(entry, format string, args ...any) {
	d.warnings = append(d.warnings, warning{entry, fmt.Sprintf(format, args...)})
}
