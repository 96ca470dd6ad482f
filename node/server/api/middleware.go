package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

// crossOrigin refuses requests of other web sites, sent by the browser of a user who can reach the node.
var crossOrigin = http.NewCrossOriginProtection()

// middleware wraps an endpoint of orders: a span that continues the caller's trace, a metric, the reading of the body, limits, and
// the writing of problems.
func (a *API) middleware(route string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := telemetry.ContextWith(r.Context(), r.Header.Get(messages.HeaderTraceparent), r.Header.Get(messages.HeaderTracestate))
		ctx, span := a.cfg.Tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("http.route", route),
			attribute.String("url.path", r.URL.Path),
		))
		defer span.End()
		sent := &statusRecorder{ResponseWriter: w}
		defer func() {
			// After a panic, recoverPanics answers 500 if nothing was sent.
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

		if p := a.admit(ctx, sent, r.WithContext(ctx), e); p != nil {
			if p.Status >= http.StatusInternalServerError && !p.counted {
				a.cfg.Logger.WarnContext(ctx, "request refused", telemetry.KeyMethod, r.Method, telemetry.KeyRoute, route,
					telemetry.KeyStatus, p.Status, telemetry.KeyError, p.Detail)
			}
			p.write(sent)
		}
	})
}

// admit runs the endpoint unless the request is cross-origin or exceeds a limit. It takes a slot when the body is there.
func (a *API) admit(ctx context.Context, w *statusRecorder, r *http.Request, e endpoint) *problem {
	if err := crossOrigin.Check(r); err != nil {
		return a.refuse(ctx, refusedCrossOrigin, newProblem(http.StatusForbidden, "requests of other web sites are not accepted"))
	}
	if wantsStream(r) {
		w.stream = true
		return a.hold(r, a.streams, "event streams", func() *problem { return e(w, r) })
	}
	if r.Method == http.MethodPost {
		release, p := a.receiveBody(w, r)
		defer release()
		if p != nil {
			return p
		}
	}
	return a.hold(r, a.requests, "requests", func() *problem {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
		defer cancel()
		return e(w, r.WithContext(ctx))
	})
}

// hold runs work while its client holds one of the slots, and refuses at once if no slot is left for it.
func (a *API) hold(r *http.Request, slots *limiter, what string, work func() *problem) *problem {
	client := clientOf(r.RemoteAddr)
	if p := a.take(r.Context(), slots, client, what); p != nil {
		return p
	}
	defer slots.release(client)
	defer busy(r.Context())()
	return work()
}

// take takes a slot for the client, or returns why there is none.
func (a *API) take(ctx context.Context, slots *limiter, client netip.Addr, what string) *problem {
	switch slots.take(client) {
	case full:
		return a.refuse(ctx, refusedNodeLimit, unavailable("too many "+what+" at once: try again in a second"))
	case clientFull:
		return a.refuse(ctx, refusedClientLimit, &problem{
			Status: http.StatusTooManyRequests, retryAfter: 1,
			Detail: fmt.Sprintf("too many %s of one client address at once (at most %d): try again in a second", what, slots.perClient),
		})
	}
	return nil
}

// refuse counts a request that is refused. The log has no line about it: those who cause many could fill the disk.
func (a *API) refuse(ctx context.Context, reason string, p *problem) *problem {
	a.measure.refused(ctx, reason)
	p.counted = true
	return p
}

// recoverPanics answers a panic with 500 unless a response was begun.
func (a *API) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &statusRecorder{ResponseWriter: w}
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
				panic(http.ErrAbortHandler) // a partial response must not look complete
			}
			newProblem(http.StatusInternalServerError, "internal error; see the log of the node").write(sent)
		}()
		next.ServeHTTP(sent, r)
	})
}

// statusRecorder records the status that was sent.
type statusRecorder struct {
	http.ResponseWriter
	// status is 0 until headers are sent.
	status int
	// stream: the response is an event stream, whose duration is not measured.
	stream bool
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap implements the interface of http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
