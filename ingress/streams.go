package ingress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Defaults of Streams.
const (
	DefaultAckWait = 5 * time.Second
	// MaxAckPending bounds the unsettled deliveries of all nodes together: the server rewrites the state of all of them
	// several times a second.
	MaxAckPending = 20_000
	// maxOrdersPending is the bound for messages about orders: those that wait for their order count, and must not keep new
	// orders from being delivered.
	maxOrdersPending = 5 * MaxAckPending
	// DefaultDeadBytes is the limit of the dead letters when their stream is created, in bytes.
	DefaultDeadBytes = 256 << 20
	dedupeWindow     = 2 * time.Minute
	// deadShare is the part of the store that dead letters may take: one of so many.
	deadShare = 16
	// metadataLimit in the inbox's metadata is the max_bytes that a node set.
	metadataLimit = "orderly_max_bytes"
)

// Streams is the configurable part of the streams and consumers.
type Streams struct {
	// Replicas of every stream: 1, 3 or 5; default 1.
	Replicas int
	// AckWait is how long a delivery may go without an in-progress ack; default DefaultAckWait. It must be the same on all
	// nodes.
	AckWait time.Duration
	// Store measures the store when a stream is created; default: it has no limit. The inbox may take a quarter of it, and dead
	// letters a sixteenth, so that neither takes the room of accepted orders.
	Store Store
	// OwnStore: the store is this node's, which therefore sets the limit of an existing inbox too, unless somebody else changed it.
	OwnStore bool
}

func (s Streams) withDefaults() Streams {
	if s.Replicas == 0 {
		s.Replicas = 1
	}
	if s.AckWait == 0 {
		s.AckWait = DefaultAckWait
	}
	return s
}

// Validate returns an error that names the invalid field.
func (s Streams) Validate() error {
	s = s.withDefaults()
	if s.Replicas != 1 && s.Replicas != 3 && s.Replicas != 5 {
		return fmt.Errorf("replicas is %d: want 1, 3 or 5", s.Replicas)
	}
	return checkAckWait(s.AckWait)
}

// EnsureStreams creates the streams and durable consumers that do not exist, begins the ledger, and completes streams that an older server
// created. It changes nothing else, and nothing at all if a server is too old (ErrServerVersion) or has a max_payload below
// messages.MinPayload. The error about a stream, consumer or server of another configuration wraps ErrConfigMismatch and names every
// field that differs. Several nodes may call it at once.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, cfg Streams) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	streams := cfg.streams()
	found, err := lookUpStreams(ctx, js, streams)
	if err != nil {
		return err
	}
	if err := checkServer(ctx, js, found); err != nil {
		return err
	}
	if cfg.Store != nil && (cfg.OwnStore || slices.Contains(found, nil)) {
		if state, err := cfg.Store(ctx); err == nil { // else the limit is unknown
			limitStreams(streams, state.Limit)
		}
	}
	var mismatches []error
	for i, want := range streams {
		if err := ensureStream(ctx, js, want, found[i], cfg.OwnStore); errors.Is(err, ErrConfigMismatch) {
			mismatches = append(mismatches, err)
		} else if err != nil {
			return fmt.Errorf("ensure stream %s: %w", want.Name, err)
		}
		// The ledger is the first stream, and has begun before there is an inbox: it accounts for the first message.
		if want.Name == messages.StreamLedger {
			if err := ledger.Begin(ctx, js); err != nil {
				return err
			}
		}
	}
	for _, c := range cfg.consumers() {
		if err := ensureConsumer(ctx, js, c.stream, c.want); errors.Is(err, ErrConfigMismatch) {
			mismatches = append(mismatches, err)
		} else if err != nil {
			return fmt.Errorf("ensure consumer %s of stream %s: %w", c.want.Durable, c.stream, err)
		}
	}
	return errors.Join(mismatches...)
}

// lookUpStreams has a nil for each stream that does not exist.
func lookUpStreams(ctx context.Context, js jetstream.JetStream, streams []jetstream.StreamConfig) ([]jetstream.Stream, error) {
	found := make([]jetstream.Stream, len(streams))
	for i, want := range streams {
		stream, err := js.Stream(ctx, want.Name)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("look up stream %s: %w", want.Name, err)
		}
		found[i] = stream
	}
	return found, nil
}

// limitStreams limits the inbox and the dead letters to their shares of a store.
func limitStreams(streams []jetstream.StreamConfig, limit int64) {
	for i := range streams {
		switch s := &streams[i]; {
		case limit == 0:
		case s.Name == messages.StreamOrders:
			s.MaxBytes = max(1, limit/inboxShare)
			s.Metadata = map[string]string{metadataLimit: strconv.FormatInt(s.MaxBytes, 10)}
		case s.Name == messages.StreamDead:
			s.MaxBytes = max(1, min(DefaultDeadBytes, limit/deadShare))
		}
	}
}

// checkServer returns an error if a server cannot carry the engine's messages.
func checkServer(ctx context.Context, js jetstream.JetStream, found []jetstream.Stream) error {
	if err := checkServerVersion(ctx, js, found); err != nil {
		return err
	}
	// The limit is known by now: it is 0 before the first connection.
	if limit := js.Conn().MaxPayload(); limit < messages.MinPayload {
		return fmt.Errorf("NATS server %w (max_payload: want at least %d, found %d): raise it on every server",
			ErrConfigMismatch, messages.MinPayload, limit)
	}
	return nil
}

// streams lists the streams as the server reports them, with every default explicit.
func (s Streams) streams() []jetstream.StreamConfig {
	base := func(name string, retention jetstream.RetentionPolicy, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name:              name,
			Subjects:          subjects,
			Retention:         retention,
			Storage:           jetstream.FileStorage,
			Replicas:          s.Replicas,
			Duplicates:        dedupeWindow,
			MaxConsumers:      -1,
			MaxMsgs:           -1,
			MaxBytes:          -1,
			MaxMsgsPerSubject: -1,
			MaxMsgSize:        -1,
			// Refuse new messages rather than delete stored ones.
			Discard: jetstream.DiscardNew,
		}
	}
	orders := base(messages.StreamOrders, jetstream.WorkQueuePolicy, messages.SubjectOrder+"*")
	orders.Description = "the inbox: messages about orders"
	orders.MaxMsgSize = messages.MaxStored
	// Clients may publish batches. Schedules, TTL and rollup stay off: each would let any client delete messages of others.
	orders.AllowAtomicPublish = true

	// No age limit: it would delete orders that are parked or need attention, and would start orders again whose created
	// message is not yet acknowledged. Retention deletes ended orders.
	events := base(messages.StreamEvents, jetstream.LimitsPolicy, messages.SubjectEvent+"*")
	events.Description = "the journal: events of orders"
	events.AllowDirect = true
	events.AllowAtomicPublish = true

	timers := base(messages.StreamTimers, jetstream.WorkQueuePolicy, messages.SubjectTimer+"*", messages.SubjectWake+"*")
	timers.Description = "durable timers of parked orders"
	timers.AllowMsgSchedules = true
	timers.AllowRollup = true             // schedules imply it
	timers.Discard = jetstream.DiscardOld // schedules require it; without limits nothing is discarded

	dead := base(messages.StreamDead, jetstream.LimitsPolicy, messages.SubjectDead+"*")
	dead.Description = "messages that could not be tied to an order"
	dead.AllowAtomicPublish = true
	// Remove the oldest rather than refuse new ones, whose messages would stay in the inbox.
	dead.MaxBytes, dead.Discard = DefaultDeadBytes, jetstream.DiscardOld

	plans := base(messages.StreamPlans, jetstream.LimitsPolicy, messages.SubjectPlan+"*.*")
	plans.Description = "the content of every plan that was ever in use, by name and version"
	// A registered plan is never replaced, not even by a publisher that expects no sequence.
	plans.MaxMsgsPerSubject = 1
	plans.DiscardNewPerSubject = true

	settled := base(messages.StreamLedger, jetstream.LimitsPolicy, messages.SubjectLedger+"*")
	settled.Description = "what became of the messages of the inbox that no event names"
	return []jetstream.StreamConfig{settled, orders, events, timers, dead, plans}
}

type durable struct {
	stream string
	want   jetstream.ConsumerConfig
}

func (s Streams) consumers() []durable {
	base := func(filter string, maxAckPending int) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Name:          messages.Consumer,
			Durable:       messages.Consumer,
			FilterSubject: filter,
			DeliverPolicy: jetstream.DeliverAllPolicy,
			ReplayPolicy:  jetstream.ReplayInstantPolicy,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       s.AckWait,
			MaxDeliver:    -1,
			MaxAckPending: maxAckPending,
			MaxWaiting:    512,
		}
	}
	return []durable{
		{messages.StreamOrders, base(messages.SubjectOrder+"*", maxOrdersPending)},
		{messages.StreamTimers, base(messages.SubjectWake+"*", MaxAckPending)},
	}
}

// ensureStream takes the stream as it was found, or nil. own is Streams.OwnStore.
func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, stream jetstream.Stream, own bool) (err error) {
	if stream == nil {
		stream, err = js.CreateStream(ctx, want)
		if natsclient.ErrorCode(err) == natsclient.ErrorCodeNoStorage && want.MaxBytes > 0 {
			// A stream with a limit needs that much room when it is created. Without one, old dead letters are only removed by age.
			unlimited := want
			unlimited.MaxBytes = -1
			stream, err = js.CreateStream(ctx, unlimited)
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node created it
			stream, err = js.Stream(ctx, want.Name)
		}
		if err != nil {
			return err
		}
	}
	found := stream.CachedInfo().Config
	if own && want.Name == messages.StreamOrders && want.MaxBytes > 0 && found.MaxBytes != want.MaxBytes && !limitedByOthers(found) {
		found.MaxBytes, found.Metadata = want.MaxBytes, maps.Clone(found.Metadata)
		if found.Metadata == nil {
			found.Metadata = map[string]string{}
		}
		maps.Copy(found.Metadata, want.Metadata)
		if stream, err = js.UpdateStream(ctx, found); err != nil {
			return fmt.Errorf("limit the inbox to %d bytes: %w", want.MaxBytes, err)
		}
		found = stream.CachedInfo().Config
	}
	if completed := complete(want, found); streamMismatch(want, found) != nil && streamMismatch(want, completed) == nil {
		if stream, err = js.UpdateStream(ctx, completed); err != nil {
			return fmt.Errorf("complete what an older server created, which needs the permission to publish to STREAM.UPDATE.%s of the JetStream API: %w", want.Name, err)
		}
		found = stream.CachedInfo().Config
	}
	return streamMismatch(want, found)
}

// limitedByOthers reports whether somebody else limited the inbox: a node notes the limit that it sets.
func limitedByOthers(found jetstream.StreamConfig) bool {
	return found.MaxBytes > 0 && found.Metadata[metadataLimit] != strconv.FormatInt(found.MaxBytes, 10)
}

// complete returns a found configuration with the features that servers before MinServerVersion do not know and drop. They can be
// added to an existing stream.
func complete(want, found jetstream.StreamConfig) jetstream.StreamConfig {
	found.AllowAtomicPublish = found.AllowAtomicPublish || want.AllowAtomicPublish
	found.AllowMsgSchedules = found.AllowMsgSchedules || want.AllowMsgSchedules
	return found
}

func ensureConsumer(ctx context.Context, js jetstream.JetStream, stream string, want jetstream.ConsumerConfig) error {
	consumer, err := js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = js.CreateConsumer(ctx, stream, want)
		if errors.Is(err, jetstream.ErrConsumerExists) { // another node created it
			consumer, err = js.Consumer(ctx, stream, want.Durable)
		}
	}
	if err != nil {
		return err
	}
	found := consumer.CachedInfo().Config
	completed := found
	completed.MaxAckPending = max(found.MaxAckPending, want.MaxAckPending)
	if consumerMismatch(stream, want, found) != nil && consumerMismatch(stream, want, completed) == nil {
		if consumer, err = js.UpdateConsumer(ctx, stream, completed); err != nil {
			return fmt.Errorf("raise max_ack_pending: %w", err)
		}
		found = consumer.CachedInfo().Config
	}
	return consumerMismatch(stream, want, found)
}
