package engine_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/node/engine"
)

// program has the program of doc.go as its body.
func program(ctx context.Context, nc *nats.Conn, stock interface {
	Reserve(context.Context, string, engine.Order) (string, error)
	Release(context.Context, string) error
}) error {
	reserve := func(ctx context.Context, c *engine.Call) (any, error) { return stock.Reserve(ctx, c.Key, c.Order) }
	release := func(ctx context.Context, c *engine.Call) (any, error) { return nil, stock.Release(ctx, c.Order.ID) }
	plan := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "reserve", Do: engine.Function(reserve), Undo: engine.Function(release)},
		{Name: "charge", Do: engine.URL("https://payments.example/charge"), Timeout: 5 * time.Second},
	}}
	e, err := engine.New(ctx, nc, plan, engine.Config{})
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

func TestProgramOfTheDocumentationCompiles(t *testing.T) {
	_ = program
	var texts [2]string
	for i, name := range []string{"doc.go", "doc_test.go"} {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(body)
	}
	var snippet strings.Builder
	for line := range strings.Lines(texts[0]) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			snippet.WriteString("\t" + code)
		}
	}
	if snippet.Len() == 0 || !strings.Contains(texts[1], snippet.String()) {
		t.Errorf("the body of program is not that of doc.go:\n%s", &snippet)
	}
}
