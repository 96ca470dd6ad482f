package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// SubjectStats replies Stats, or the calls of the order named in the request.
const SubjectStats = "demo.stats"

// SubjectBehave takes changes of the Behaviors as text, for example payments.away=true, and replies all of them.
const SubjectBehave = "demo.behave"

// version of the micro services.
const version = "1.0.0"

// probeTimeout is how long Start waits for a reply of services that already run.
const probeTimeout = 5 * time.Second

// ErrRunning is wrapped by the error of Start when the demo services already run, in this process or another.
var ErrRunning = errors.New("demo services run already on this NATS")

// Config of the services. The zero value works.
type Config struct {
	Behaviors Behaviors
	// Ledger is the path of the file that stores effects; empty: memory only.
	Ledger string
	// Tracer starts a server span per call. Default: none.
	Tracer trace.Tracer
	// Logger gets the failures to reply. Default: none.
	Logger *slog.Logger
}

// Services are the running demo services.
type Services struct {
	nc     *nats.Conn
	tracer trace.Tracer
	logger *slog.Logger
	ledger *ledger
	hosted []micro.Service

	work sync.WaitGroup // running handlers and timers

	mu        sync.Mutex
	behaviors Behaviors
	stopped   bool
	timers    map[*time.Timer]struct{}
	calls     int
	repeats   int
	failed    int
	missed    int
	subjects  map[string]int
}

// Start starts the services on nc. Errors wrap ErrBehavior, ErrRunning, or the error of the ledger file or NATS.
func Start(nc *nats.Conn, cfg Config) (*Services, error) {
	if err := cfg.Behaviors.Validate(); err != nil {
		return nil, err
	}
	if _, err := nc.Request(SubjectStats, nil, probeTimeout); !errors.Is(err, nats.ErrNoResponders) {
		if err == nil || errors.Is(err, nats.ErrTimeout) {
			return nil, fmt.Errorf("%w: start them in one process only", ErrRunning)
		}
		return nil, fmt.Errorf("start demo services: %w", err)
	}
	l, err := openLedger(cfg.Ledger)
	if err != nil {
		return nil, err
	}
	s := &Services{
		nc: nc, tracer: cfg.Tracer, logger: cfg.Logger, ledger: l, behaviors: cfg.Behaviors,
		timers: map[*time.Timer]struct{}{}, subjects: map[string]int{},
	}
	if s.tracer == nil {
		s.tracer = tracenoop.Tracer{}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if err := s.host(); err != nil {
		return nil, errors.Join(fmt.Errorf("start demo services: %w", err), s.Stop())
	}
	return s, nil
}

// host subscribes every service; the server has all subscriptions when it returns.
func (s *Services) host() error {
	for _, about := range [...]struct{ service, description string }{
		{"inventory", "Reserves and releases goods."},
		{"payments", "Authorizes, voids and captures payments."},
		{"shipping", "Creates and cancels shipments."},
	} {
		hosted, err := micro.AddService(s.nc, micro.Config{Name: about.service, Version: version, Description: about.description})
		if err != nil {
			return err
		}
		s.hosted = append(s.hosted, hosted)
		for _, e := range endpoints {
			if e.service != about.service {
				continue
			}
			handler := micro.HandlerFunc(func(r micro.Request) { s.handle(e, r) })
			if err := hosted.AddEndpoint(e.name, handler, micro.WithEndpointSubject(e.subject())); err != nil {
				return err
			}
		}
	}
	hosted, err := micro.AddService(s.nc, micro.Config{Name: "demo", Version: version, Description: "Counts what the demo services did, and changes their behavior."})
	if err != nil {
		return err
	}
	s.hosted = append(s.hosted, hosted)
	if err := hosted.AddEndpoint("stats", micro.HandlerFunc(s.serveStats), micro.WithEndpointSubject(SubjectStats)); err != nil {
		return err
	}
	if err := hosted.AddEndpoint("behave", micro.HandlerFunc(s.serveBehave), micro.WithEndpointSubject(SubjectBehave)); err != nil {
		return err
	}
	return s.nc.Flush()
}

// Set changes how the services behave from the next call on; the error wraps ErrBehavior.
func (s *Services) Set(b Behaviors) error {
	if err := b.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	s.behaviors = b
	s.mu.Unlock()
	return nil
}

// Stop ends the services and waits. Pending replies and signals are not sent.
func (s *Services) Stop() error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil
	}
	s.stopped = true
	for t := range s.timers {
		if t.Stop() {
			s.work.Done()
		}
	}
	s.timers = nil
	s.mu.Unlock()

	var errs []error
	for _, hosted := range s.hosted {
		if err := hosted.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			errs = append(errs, err)
		}
	}
	s.work.Wait()
	return errors.Join(append(errs, s.ledger.close())...)
}

// begin starts work that Stop waits for; false once stopped.
func (s *Services) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.work.Add(1)
	}
	return !s.stopped
}

// after runs do after d, unless the services stop first.
func (s *Services) after(d time.Duration, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.work.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer s.work.Done()
		s.mu.Lock()
		delete(s.timers, t)
		s.mu.Unlock()
		do()
	})
	s.timers[t] = struct{}{}
}

// serveStats answers demo.stats.
func (s *Services) serveStats(r micro.Request) {
	if !s.begin() {
		return
	}
	defer s.work.Done()
	var answer any
	if order := string(r.Data()); order == "" {
		answer = s.Stats()
	} else {
		answer = s.Order(order)
	}
	body, err := json.Marshal(answer)
	if err == nil {
		err = r.Respond(body, micro.WithHeaders(micro.Headers{"Content-Type": {"application/json"}}))
	}
	if err != nil {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "demo statistics not sent", slog.Any("error", err))
	}
}

// serveBehave answers demo.behave.
func (s *Services) serveBehave(r micro.Request) {
	if !s.begin() {
		return
	}
	defer s.work.Done()
	s.mu.Lock()
	changed, err := s.behaviors.With(string(r.Data()))
	if err == nil {
		s.behaviors = changed
	}
	s.mu.Unlock()
	if err != nil {
		err = r.Error("400", err.Error(), nil)
	} else if text, failed := changed.MarshalText(); failed != nil {
		err = failed
	} else {
		err = r.Respond(text)
	}
	if err != nil {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "demo behavior not answered", slog.Any("error", err))
	}
}

// chance is true in the given share of cases.
func chance(share float64) bool { return share > 0 && rand.Float64() < share }
