package supervision

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestTheActorSystemLogsFromWarn(t *testing.T) {
	var out bytes.Buffer
	log := NewSystem(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).Logger().With("a", 1).WithGroup("g")
	log.Info("chatter")
	log.Warn("trouble")
	if got := out.String(); strings.Contains(got, "chatter") || strings.Contains(got, "started") || !strings.Contains(got, "trouble") {
		t.Fatalf("logged %q, want warnings and errors only", got)
	}
}
