package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

// crossOrigin keeps web pages from acting on a node through the browser of a person who can reach it.
var crossOrigin = http.NewCrossOriginProtection()

// gate is what every endpoint of orders has in common: a span that continues the caller's trace, a measurement, limits
// on requests and body, and the writing of problems.
func (a *API) gate(route string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := telemetry.ContextWith(r.Context(), r.Header.Get(messages.HeaderTraceparent), r.Header.Get(messages.HeaderTracestate))
		ctx, span := a.cfg.Tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("http.route", route),
			attribute.String("url.path", r.URL.Path),
		))
		defer span.End()
		sent := &sentStatus{ResponseWriter: w}
		defer func() {
			// A panic passes through here on its way to the recovery, which answers 500 if nothing is sent.
			status := sent.status
			if status == 0 {
				status = http.StatusInternalServerError
			}
			span.SetAttributes(attribute.Int("http.response.status_code", status))
			if status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, http.StatusText(status))
			}
			if !sent.stream {
				a.measure.request(ctx, r.Method, route, status, time.Since(began))
			}
		}()

		if p := a.enter(ctx, sent, r.WithContext(ctx), e); p != nil {
			if p.Status >= http.StatusInternalServerError {
				a.cfg.Logger.WarnContext(ctx, "request refused", telemetry.KeyMethod, r.Method, telemetry.KeyRoute, route,
					telemetry.KeyStatus, p.Status, telemetry.KeyError, p.Detail)
			}
			p.write(sent)
		}
	})
}

// enter lets a request in if it may and if there is room.
func (a *API) enter(ctx context.Context, w *sentStatus, r *http.Request, e endpoint) *problem {
	if err := crossOrigin.Check(r); err != nil {
		return refusal(http.StatusForbidden, "requests of other web sites are not accepted")
	}
	if wantsStream(r) {
		w.stream = true
		return within(a.streams, "event streams", func() *problem { return e(w, r) })
	}
	return within(a.requests, "requests", func() *problem {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, messages.MaxBody)
		return e(w, r.WithContext(ctx))
	})
}

// within works while it holds one of the tokens, and refuses at once when all are taken.
func within(tokens chan struct{}, what string, work func() *problem) *problem {
	select {
	case tokens <- struct{}{}:
		defer func() { <-tokens }()
		return work()
	default:
		return unavailable("too many " + what + " at once: come again in a second")
	}
}

// recovered turns a panic into an answer, if none was begun.
func (a *API) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &sentStatus{ResponseWriter: w}
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(reason)
			}
			a.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String(telemetry.KeyMethod, r.Method),
				slog.String("path", r.URL.Path), slog.Any(telemetry.KeyError, reason), slog.String(telemetry.KeyStack, string(debug.Stack())))
			if sent.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			refusal(http.StatusInternalServerError, "the node made a mistake; it is in its log").write(sent)
		}()
		next.ServeHTTP(sent, r)
	})
}

// sentStatus remembers what was sent.
type sentStatus struct {
	http.ResponseWriter
	// status is 0 until headers are sent.
	status int
	// stream: an event stream, which takes as long as it takes.
	stream bool
}

func (s *sentStatus) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *sentStatus) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (s *sentStatus) Unwrap() http.ResponseWriter { return s.ResponseWriter }
