package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// knownTarget accepts nats:// and sim: targets.
func knownTarget(target string) error {
	if strings.HasPrefix(target, "nats://") || strings.HasPrefix(target, "sim:") {
		return nil
	}
	return fmt.Errorf("target %q is not known", target)
}

func TestBuiltinPlansAreValid(t *testing.T) {
	for _, p := range []*messages.Plan{plan.Builtin(), plan.Sim("sim:?latency=1ms")} {
		if err := plan.Validate(p, knownTarget); err != nil {
			t.Errorf("plan %s: %v", p, err)
		}
	}
	b := plan.Builtin()
	if last := b.Steps[len(b.Steps)-1]; last.Name != "capture_payment" || last.Undo != "" {
		t.Errorf("last step is %s with undo %q, want capture_payment without", last.Name, last.Undo)
	}
	for _, s := range plan.Sim("sim:").Steps {
		if s.Do != "sim:" || s.Limits.Concurrency != 0 {
			t.Errorf("simulated step %s", s)
		}
	}
}

// builtinYAML is Builtin in full, shortYAML without defaults.
const builtinYAML = `
name: order
version: 1
steps:
  - name: reserve_inventory
    do: nats://inventory.reserve
    undo: nats://inventory.release
    timeout: 2s
    retry: {initial: 100ms, max: 30s, attempts: 10}
    limits: {concurrency: 256, rate: 0}
    in_doubt: settle
    encoding: json
  - {name: authorize_payment, do: "nats://payments.authorize", undo: "nats://payments.void"}
  - {name: create_shipment, do: "nats://shipping.create", undo: "nats://shipping.cancel"}
  - {name: capture_payment, do: "nats://payments.capture"}
`

const builtinJSON = `{"name": "order", "version": 1, "steps": [
  {"name": "reserve_inventory", "do": "nats://inventory.reserve", "undo": "nats://inventory.release", "timeout": "2.000s",
   "retry": {"initial": "0.100s"}, "inDoubt": "IN_DOUBT_SETTLE", "encoding": "ENCODING_JSON"},
  {"name": "authorize_payment", "do": "nats://payments.authorize", "undo": "nats://payments.void", "retry": {}},
  {"name": "create_shipment", "do": "nats://shipping.create", "undo": "nats://shipping.cancel", "limits": {}},
  {"name": "capture_payment", "do": "nats://payments.capture"}]}`

func TestBuiltinPlanAsFile(t *testing.T) {
	for name, text := range map[string]string{"plan.yaml": builtinYAML, "plan.json": builtinJSON} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := plan.Load(path, knownTarget)
		if err != nil {
			t.Fatalf("load %s: %v", name, err)
		}
		if want := plan.Builtin(); !proto.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	p, err := plan.Parse([]byte(`
name: gift_order
version: 7
steps:
  - &first
    name: wrap
    do: sim:?latency=5ms
    undo: "sim:"
    timeout: 1m30s
    retry: {initial: 1m, attempts: 3}
    limits: {rate: 12.5, concurrency: 0}
    in_doubt: undo
    encoding: protobuf
`), knownTarget)
	if err != nil {
		t.Fatal(err)
	}
	want := &messages.Plan{Name: "gift_order", Version: 7, Steps: []*messages.Step{{
		Name: "wrap", Do: "sim:?latency=5ms", Undo: "sim:", Timeout: durationpb.New(90 * time.Second),
		Retry:   &messages.Retry{Initial: durationpb.New(time.Minute), Max: durationpb.New(time.Minute), Attempts: 3},
		Limits:  &messages.Limits{Rate: 12.5},
		InDoubt: messages.InDoubt_IN_DOUBT_UNDO, Encoding: messages.Encoding_ENCODING_PROTOBUF,
	}}}
	if !proto.Equal(p, want) {
		t.Errorf("\n got %s\nwant %s", p, want)
	}
}

func TestFileErrorsNameLineAndField(t *testing.T) {
	step := func(fields string) string {
		return "name: order\nversion: 1\nsteps:\n  - name: wrap\n    do: nats://wrap\n" + fields
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty":            {"", []string{"empty"}},
		"only a comment":   {"# nothing\n", []string{"empty"}},
		"not yaml":         {"steps: [", []string{"neither YAML nor JSON"}},
		"two documents":    {builtinYAML + "\n---\n" + builtinYAML, []string{"more than one document"}},
		"a list":           {"[]", []string{"want fields", "name, version, steps"}},
		"unknown field":    {"name: order\nversion: 1\nstages: []\nsteps: [{name: a, do: 'sim:'}]\n", []string{"line 3", `"stages"`, "want name, version, steps"}},
		"field twice":      {"name: order\nname: order\nversion: 1\nsteps: [{name: a, do: 'sim:'}]\n", []string{"line 2", `"name"`, "twice"}},
		"no name":          {"version: 1\nsteps: [{name: a, do: 'sim:'}]", []string{"name", "beginning with a letter"}},
		"no version":       {"name: order\nsteps: [{name: a, do: 'sim:'}]", []string{"version", "at least 1"}},
		"version a text":   {"name: order\nversion: one\nsteps: [{name: a, do: 'sim:'}]\n", []string{"version", "line 2", "whole number"}},
		"version negative": {"name: order\nversion: -1\nsteps: [{name: a, do: 'sim:'}]\n", []string{"version", "line 2", "whole number"}},
		"no steps":         {"name: order\nversion: 1\n", []string{"steps", "1–64"}},
		"steps a map":      {"name: order\nversion: 1\nsteps: {}\n", []string{"steps", "line 3", "list"}},
		"too many steps": {"name: order\nversion: 1\nsteps:\n" + strings.Repeat("  - {name: a, do: 'sim:'}\n", 65),
			[]string{"steps", "65", "1–64"}},
		"same name": {step("  - {name: wrap, do: 'sim:'}\n"), []string{"line 6: ", "step 2", `"wrap"`, "step 1"}},
		"bad name":  {"name: order\nversion: 1\nsteps: [{name: Wrap, do: 'sim:'}]", []string{"line 3: ", "step 1", `"Wrap"`}},
		"no do":     {"name: order\nversion: 1\nsteps: [{name: wrap}]", []string{"line 3: ", "step wrap", "do is missing"}},
		"bad do":    {"name: order\nversion: 1\nsteps: [{name: wrap, do: 'ftp://x'}]", []string{"line 3: ", "step wrap", "do", "ftp://x"}},
		"bad undo":  {step("    undo: ftp://x\n"), []string{"line 6: ", "step wrap", "undo", "ftp://x"}},
		"timeout without unit": {step("    timeout: 2\n"),
			[]string{"step wrap", "timeout", "line 6", "2s"}},
		"timeout zero":       {step("    timeout: 0s\n"), []string{"line 6: ", "step wrap", "timeout", "1ms–5m"}},
		"timeout negative":   {step("    timeout: -2s\n"), []string{"line 6: ", "step wrap", "timeout"}},
		"timeout long":       {step("    timeout: 1h\n"), []string{"line 6: ", "step wrap", "timeout is 1h0m0s"}},
		"retry unknown":      {step("    retry: {first: 1s}\n"), []string{"step wrap", "retry", `"first"`, "initial, max, attempts"}},
		"retry max small":    {step("    retry: {initial: 2s, max: 1s}\n"), []string{"line 6: ", "step wrap", "retry.max"}},
		"retry initial zero": {step("    retry: {initial: 0s}\n"), []string{"line 6: ", "step wrap", "retry.initial"}},
		"attempts zero":      {step("    retry: {attempts: 0}\n"), []string{"line 6: ", "step wrap", "retry.attempts", "1–1000"}},
		"attempts many":      {step("    retry: {attempts: 1001}\n"), []string{"line 6: ", "step wrap", "retry.attempts"}},
		"concurrency":        {step("    limits: {concurrency: 9999999}\n"), []string{"line 6: ", "step wrap", "limits.concurrency"}},
		"rate negative":      {step("    limits: {rate: -1}\n"), []string{"line 6: ", "step wrap", "limits.rate"}},
		"rate not a number":  {step("    limits: {rate: .nan}\n"), []string{"step wrap", "rate"}},
		"in doubt":           {step("    in_doubt: maybe\n"), []string{"step wrap", "in_doubt", "line 6", "settle or undo"}},
		"in doubt undo":      {step("    in_doubt: undo\n"), []string{"line 6: ", "step wrap", "in_doubt", "no undo"}},
		"encoding":           {step("    encoding: xml\n"), []string{"step wrap", "encoding", "json or protobuf"}},
		"name a number":      {"name: 7\nversion: 1\nsteps: [{name: a, do: 'sim:'}]\n", []string{"name", "line 1", "7", "a text"}},
		"name too long":      {"name: " + strings.Repeat("a", 65) + "\nversion: 1\nsteps: [{name: a, do: 'sim:'}]", []string{"line 1: ", "name", "1–64"}},
		"version too large":  {"name: order\nversion: 4294967296\nsteps: [{name: a, do: 'sim:'}]\n", []string{"version", "line 2", "0 to 4294967295"}},
		"version a fraction": {"name: order\nversion: 1.5\nsteps: [{name: a, do: 'sim:'}]\n", []string{"version", "line 2", "whole number"}},
		"step a text":        {"name: order\nversion: 1\nsteps: [wrap]", []string{"step 1", "want fields", "name, do, undo"}},
		"step name a list":   {"name: order\nversion: 1\nsteps: [{name: [wrap], do: 'sim:'}]", []string{"step 1", "name", "want a text"}},
		"unknown step field": {step("    tries: 3\n"), []string{"step wrap", "line 6", `"tries"`, "want name, do, undo, timeout"}},
		"do a number":        {"name: order\nversion: 1\nsteps: [{name: wrap, do: 7}]", []string{"step wrap", "do", "a text"}},
		"undo a list":        {step("    undo: ['sim:']\n"), []string{"step wrap", "undo", "line 6", "a text"}},
		"timeout a word":     {step("    timeout: soon\n"), []string{"step wrap", "timeout", "line 6", `"soon"`, "2s"}},
		"retry a number":     {step("    retry: 3\n"), []string{"step wrap", "retry", "line 6", "initial, max, attempts"}},
		"retry max long":     {step("    retry: {max: 25h}\n"), []string{"line 6: ", "step wrap", "retry.max is 25h", "24h"}},
		"retry max a number": {step("    retry: {max: 30}\n"), []string{"step wrap", "retry.max", "line 6", "100ms"}},
		"attempts a text":    {step("    retry: {attempts: many}\n"), []string{"step wrap", "retry.attempts", "line 6", "whole number"}},
		"limits a list":      {step("    limits: [256]\n"), []string{"step wrap", "limits", "line 6", "concurrency, rate"}},
		"limits unknown":     {step("    limits: {burst: 1}\n"), []string{"step wrap", "limits", `"burst"`, "concurrency, rate"}},
		"concurrency a text": {step("    limits: {concurrency: all}\n"), []string{"step wrap", "limits.concurrency", "whole number"}},
		"rate next to none":  {step("    limits: {rate: 1e-12}\n"), []string{"line 6: ", "step wrap", "limits.rate", "0.001"}},
		"rate high":          {step("    limits: {rate: 1e7}\n"), []string{"line 6: ", "step wrap", "limits.rate", "1000000"}},
		"in doubt a number":  {step("    in_doubt: 1\n"), []string{"step wrap", "in_doubt", "settle or undo"}},
		"encoding a map":     {step("    encoding: {}\n"), []string{"step wrap", "encoding", "json or protobuf"}},
		"merge key":          {step("    <<: {undo: 'sim:'}\n"), []string{"step wrap", `"<<"`, "unknown"}},
		"step at its end":    {step("  - name: other\n    undo: 'sim:'\n"), []string{"line 6: ", "step other", "do is missing"}},
		"version zero":       {"name: order\nversion: 0\nsteps: [{name: a, do: 'sim:'}]\n", []string{"line 2: ", "version"}},
		"fields on lines":    {step("    retry:\n      initial: 2s\n      max: 1s\n"), []string{"line 8: ", "step wrap", "retry.max"}},
		"an alias":           {"name: order\nversion: 1\nsteps:\n  - &a {name: a, do: 'sim:'}\n  - *a\n", []string{"line 5: ", "step 2", "step 1"}},
		"other spelling":     {step("    inDoubt: undo\n"), []string{"line 6: ", "step wrap", "in_doubt", "no undo"}},
		"shared limits": {step("    limits: {rate: 1}\n  - {name: b, do: 'nats://wrap',\n    limits: {rate: 2}}\n"),
			[]string{"line 8: ", "step b", "limits.rate", "step wrap"}},
		"large": {strings.Repeat("#", 300<<10), []string{"larger than"}},
	} {
		t.Run(name, func(t *testing.T) { requireLoadError(t, "plan.yaml", c.text, c.want) })
		// The same in JSON, on one line, unless only YAML can express it.
		var content any
		if err := yaml.Unmarshal([]byte(c.text), &content); err != nil || content == nil {
			continue
		}
		if text, err := json.Marshal(content); err == nil && name != "merge key" && name != "two documents" {
			want := slices.DeleteFunc(slices.Clone(c.want), func(s string) bool { return strings.HasPrefix(s, "line ") })
			t.Run(name+" in JSON", func(t *testing.T) { requireLoadError(t, "plan.json", string(text), want) })
		}
	}
}

// requireLoadError loads a file with one problem and checks the error: one line that contains the texts.
func requireLoadError(t *testing.T, file, text string, want []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := plan.Load(path, knownTarget)
	if !errors.Is(err, plan.ErrInvalid) {
		t.Fatalf("got %v, want an error that wraps ErrInvalid", err)
	}
	for _, w := range append(want, path) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not contain %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %q", err)
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	_, err := plan.Load(filepath.Join(t.TempDir(), "no.yaml"), knownTarget)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestValidatePlansMadeInGo(t *testing.T) {
	for name, spoil := range map[string]func(*messages.Plan){
		"no timeout":     func(p *messages.Plan) { p.Steps[0].Timeout = nil },
		"bad duration":   func(p *messages.Plan) { p.Steps[0].Timeout = &durationpb.Duration{Seconds: 1, Nanos: -1} },
		"no retry":       func(p *messages.Plan) { p.Steps[0].Retry = nil },
		"rate infinite":  func(p *messages.Plan) { p.Steps[0].Limits.Rate = math.Inf(1) },
		"in doubt":       func(p *messages.Plan) { p.Steps[0].InDoubt = 9 },
		"encoding":       func(p *messages.Plan) { p.Steps[0].Encoding = 9 },
		"nil step":       func(p *messages.Plan) { p.Steps[0] = nil },
		"too many bytes": func(p *messages.Plan) { p.Steps[0].Do = "nats://" + strings.Repeat("x", 70<<10) },
	} {
		p := plan.Builtin()
		spoil(p)
		if err := plan.Validate(p, knownTarget); !errors.Is(err, plan.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := plan.Validate(nil, knownTarget); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("no plan: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(builtinYAML))
	f.Add([]byte(builtinJSON))
	f.Add([]byte(readingYAML))
	f.Add([]byte(readingJSON))
	f.Add([]byte("name: &a order\nversion: 1\nsteps: [&s {name: x, do: 'sim:', retry: {initial: 1s}}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := plan.Parse(text, knownTarget)
		if err != nil {
			if !errors.Is(err, plan.ErrInvalid) {
				t.Fatalf("error does not wrap ErrInvalid: %v", err)
			}
			return
		}
		if err := plan.Validate(p, knownTarget); err != nil {
			t.Fatalf("parsed plan is invalid: %v", err)
		}
		if _, err := proto.Marshal(p); err != nil {
			t.Fatalf("parsed plan cannot be journaled: %v", err)
		}
	})
}
