package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// MinServerVersion is the first version of the NATS server with everything that the engine uses.
const MinServerVersion = "2.12.0"

const (
	// minAPILevel is the level of the JetStream API of that version: atomic publish and message schedules.
	minAPILevel = 2
	// accountInfoTimeout bounds the question for the level, which the node may have no right to ask.
	accountInfoTimeout = 2 * time.Second

	metadataLevel   = "_nats.level"
	metadataVersion = "_nats.ver"
)

// ErrServerVersion is wrapped by the error about a NATS server that is too old.
var ErrServerVersion = errors.New("NATS server is too old")

// CheckServerVersion returns an error that wraps ErrServerVersion if a server is too old, as EnsureStreams does, and changes nothing.
func CheckServerVersion(ctx context.Context, js jetstream.JetStream) error {
	found, err := lookUpStreams(ctx, js, Streams{}.streams())
	if err != nil {
		return err
	}
	return checkServerVersion(ctx, js, found)
}

// checkServerVersion returns an error if a server that has one of the streams, or might get one of those that do not exist, is too
// old. Servers drop fields of a configuration that they do not know, and do not say so. found has a nil for each stream that does
// not exist.
func checkServerVersion(ctx context.Context, js jetstream.JetStream, found []jetstream.Stream) error {
	missing := false
	for _, stream := range found {
		if stream == nil {
			missing = true
			continue
		}
		// The stream's leader adds them to its answer, since 2.11.
		metadata := stream.CachedInfo().Config.Metadata
		if level, _ := strconv.Atoi(metadata[metadataLevel]); level < minAPILevel {
			return tooOld(js, metadata[metadataVersion])
		}
	}
	if !missing {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountInfoTimeout)
	defer cancel()
	switch info, err := js.AccountInfo(ctx); {
	case err == nil && info.API.Level < minAPILevel:
		return tooOld(js, "")
	case errors.Is(err, context.DeadlineExceeded): // JetStream is not ready, which the next request shows, or the node may not ask
		if OlderServer(js.Conn().ConnectedServerVersion()) {
			return tooOld(js, "")
		}
	case err != nil:
		return err
	}
	if older := olderInCluster(js); older != nil {
		return tooOld(js, older.Version+" ("+strconv.Quote(older.Name)+")")
	}
	return nil
}

// tooOld takes the version, or nothing if the server did not say it: then that of the connected server may be it.
func tooOld(js jetstream.JetStream, version string) error {
	if connected := js.Conn().ConnectedServerVersion(); version == "" && OlderServer(connected) {
		version = connected
	}
	if version == "" {
		version = "an older one"
	}
	return fmt.Errorf("%w: found %s, want %s or later on every server: upgrade NATS and start the node again; nothing was changed",
		ErrServerVersion, version, MinServerVersion)
}

// OlderServer reports whether a version is before MinServerVersion; false if it is unreadable.
func OlderServer(version string) bool {
	major, minor, ok := majorMinor(version)
	wantMajor, wantMinor, _ := majorMinor(MinServerVersion)
	return ok && (major < wantMajor || major == wantMajor && minor < wantMinor)
}

func majorMinor(version string) (major, minor int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	return major, minor, errMajor == nil && errMinor == nil
}
