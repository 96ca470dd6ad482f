package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

// ErrNotStored is wrapped by the errors of Publisher for a message that is certainly not stored.
var ErrNotStored = errors.New("nothing was stored")

// Health reports the node's state.
type Health interface {
	// Live returns nil unless a restart of the node would help; the error says why.
	Live() error
	// Healthy returns nil while NATS is connected and the node's work succeeds, else what fails.
	Healthy() error
	// Room is the room left in the store for new orders, in bytes; known is false if the store has no limit that is known.
	Room() (bytes int64, known bool)
	// Ready returns nil while the node accepts orders, else the reason why it does not; it is not nil while Healthy is not.
	Ready() error
}

// Publisher puts messages into the inbox.
type Publisher interface {
	// Publish returns nil once the stream has stored the message. After an error that does not wrap ErrNotStored the message
	// may be stored.
	Publish(ctx context.Context, o ingress.Outgoing) error
}

// Orders reads orders: see client.Client.
type Orders interface {
	// Order returns the order's state and events; the error may wrap client.ErrUnknownOrder.
	Order(ctx context.Context, id messages.OrderID) (*timeline.View, error)
	// Follow calls yield with the events of each journal entry behind the sequence after, and returns nil once the order
	// has ended; the error may wrap client.ErrUnknownOrder before the first call.
	Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error
}

// Lister lists orders.
type Lister interface {
	// List returns a page of orders; the error may wrap index.ErrQuery or index.ErrNoNode.
	List(ctx context.Context, q index.Query) (*index.Page, error)
}

// Deps are the dependencies of the API. All are required.
type Deps struct {
	Health    Health
	Publisher Publisher
	Orders    Orders
	Lister    Lister
	// Metrics serves /metrics.
	Metrics http.Handler
}

// Config of an API. The zero value of every field means its default.
type Config struct {
	// Addr to listen on, host:port. Default 127.0.0.1:8080.
	Addr string
	// Hosts are names and addresses, without port, under which clients may reach the node besides those of the loopback, Addr's
	// and the local end of their connection.
	Hosts []string
	// MaxConnections bounds the open connections; one client may have half of them, and of the limits below. Default: half of
	// the files that the process may open, 128 to 2048; the other half is for JetStream, the index and downstream services.
	MaxConnections int
	// MaxRequests bounds the concurrent requests, probes, metrics and bodies that are still on their way excepted. Default: half
	// of MaxConnections.
	MaxRequests int
	// MaxStreams bounds the open event streams. Default: a quarter of MaxConnections.
	MaxStreams int
	// BodyTimeout is the longest time in which a body has to bring 16 KiB, or its end. Default 5s.
	BodyTimeout time.Duration
	// Timeout of one request after its body, event streams excepted. Default 10s.
	Timeout time.Duration
	// Heartbeat is the interval of comments in an event stream without events. Default 15s.
	Heartbeat time.Duration

	Logger *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

// Limits of a connection. The limit of a body is messages.MaxBody.
const (
	readHeaderTimeout = 5 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
)

const (
	minConnections = 128
	maxConnections = 2048
	// maxScrapes bounds the concurrent requests for metrics.
	maxScrapes = 16
	// maxLargeBodies bounds the bodies of more than bodyChunk in memory.
	maxLargeBodies = 128
)

// Validate reports what is out of range.
func (c Config) Validate() error {
	if min(c.MaxConnections, c.MaxRequests, c.MaxStreams) < 0 || min(c.Timeout, c.BodyTimeout, c.Heartbeat) < 0 {
		return fmt.Errorf("api: max connections %d, max requests %d, max streams %d, timeout %s, body timeout %s, heartbeat %s: want 0 or more",
			c.MaxConnections, c.MaxRequests, c.MaxStreams, c.Timeout, c.BodyTimeout, c.Heartbeat)
	}
	full := c.withDefaults()
	if slots := half(full.MaxRequests) + half(full.MaxStreams) + half(maxScrapes); slots >= half(full.MaxConnections) {
		return fmt.Errorf("api: max connections %d, max requests %d, max streams %d: want more connections", full.MaxConnections, full.MaxRequests, full.MaxStreams)
	}
	if c.Timeout >= writeTimeout {
		return fmt.Errorf("api: timeout %s: want less than %s, after which a connection is closed", c.Timeout, writeTimeout)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8080"
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = max(minConnections, min(openFiles()/2, maxConnections))
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = c.MaxConnections / 2
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = c.MaxConnections / 4
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = 5 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noopmetric.Meter{}
	}
	if c.Tracer == nil {
		c.Tracer = nooptrace.Tracer{}
	}
	return c
}

// API is the node's HTTP server.
type API struct {
	deps   Deps
	cfg    Config
	server *http.Server

	// stopping is closed by Shutdown, and ends the event streams.
	stopping chan struct{}
	stop     sync.Once
	// The slots of requests in progress.
	requests, streams, scrapes, largeBodies *limiter
	// hosts are the allowed names besides those of the loopback, in canonical form.
	hosts   map[string]bool
	measure *instrumentation

	connections *connections
	serving     sync.WaitGroup
}

// New returns an API that does not listen yet.
func New(deps Deps, cfg Config) (*API, error) {
	if deps.Health == nil || deps.Publisher == nil || deps.Orders == nil || deps.Lister == nil || deps.Metrics == nil {
		return nil, errors.New("api: health, publisher, orders, lister and metrics are required")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	measure, err := newInstrumentation(cfg.Meter, deps.Health.Ready)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	a := &API{
		deps: deps, cfg: cfg, measure: measure,
		stopping: make(chan struct{}),
		requests: newLimiter(cfg.MaxRequests), streams: newLimiter(cfg.MaxStreams),
		scrapes: newLimiter(maxScrapes), largeBodies: newLimiter(maxLargeBodies),
		hosts: map[string]bool{},
	}
	for _, host := range cfg.Hosts {
		a.addHost(host)
	}
	a.server = &http.Server{
		Handler:           a.routes(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       cfg.BodyTimeout, // of bodies that nobody reads; others have it anew
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// Start listens and serves until Shutdown. If serving ends earlier, it calls onFailure once with the error.
func (a *API) Start(onFailure func(error)) error {
	l, err := net.Listen("tcp", a.cfg.Addr)
	if err != nil {
		return fmt.Errorf("api: cannot listen on %s: stop the program that listens there, or set ORDERLY_HTTP_ADDR to another address: %w", a.cfg.Addr, err)
	}
	a.connections = newConnections(l.(*net.TCPListener), a.cfg.MaxConnections, func() {
		a.measure.refused(context.Background(), refusedConnection)
	})
	for _, addr := range []string{a.cfg.Addr, a.Addr()} {
		host, _, _ := net.SplitHostPort(addr) // no error: it was listened on
		a.addHost(host)
	}
	a.serving.Go(func() {
		if err := a.server.Serve(a.connections); !errors.Is(err, http.ErrServerClosed) {
			onFailure(err)
		}
	})
	a.cfg.Logger.Info("api listening", "address", a.Addr())
	return nil
}

// Addr is the address in use, host:port. Only after Start.
func (a *API) Addr() string { return a.connections.Addr().String() }

// Shutdown accepts no further requests, ends the event streams, and waits for the requests in progress until ctx ends; then
// it cuts them off and returns an error that wraps the context's.
func (a *API) Shutdown(ctx context.Context) error {
	a.stop.Do(func() { close(a.stopping) })
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("api: requests were cut off: %w", errors.Join(err, a.server.Close()))
	}
	a.serving.Wait()
	return err
}
