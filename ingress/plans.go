package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// registerRetryDelay is the wait after another node's registration of the same plan before its result is read.
const registerRetryDelay = 20 * time.Millisecond

// RegisterPlan registers p under its name and version unless other content is registered there, and returns the registered
// content. When several nodes register at once, the first one wins and all get its content. The plan must be valid, and the
// streams must exist.
func RegisterPlan(ctx context.Context, js jetstream.JetStream, p *messages.Plan) (*messages.Plan, error) {
	registered, err := registerPlan(ctx, js, p)
	if err != nil {
		return nil, fmt.Errorf("register plan %s v%d: %w", p.GetName(), p.GetVersion(), err)
	}
	return registered, nil
}

func registerPlan(ctx context.Context, js jetstream.JetStream, p *messages.Plan) (*messages.Plan, error) {
	subject := messages.SubjectPlan + p.GetName() + "." + strconv.FormatUint(uint64(p.GetVersion()), 10)
	stream, err := js.Stream(ctx, messages.StreamPlans)
	if err != nil {
		return nil, err
	}
	for {
		registered, err := registeredPlan(ctx, stream, subject)
		if err != nil || registered != nil {
			return registered, err
		}
		err = publishPlan(ctx, js, subject, p)
		if !natsclient.WrongLastSequence(err) {
			return p, err
		}
		select {
		case <-time.After(registerRetryDelay):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// registeredPlan asks the stream's leader; nil if nothing is registered.
func registeredPlan(ctx context.Context, stream jetstream.Stream, subject string) (*messages.Plan, error) {
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	p := &messages.Plan{}
	if err := proto.Unmarshal(m.Data, p); err != nil {
		return nil, fmt.Errorf("decode message %d of stream %s: %w", m.Sequence, messages.StreamPlans, err)
	}
	return p, nil
}

// publishPlan stores the plan if nothing is stored on its subject.
func publishPlan(ctx context.Context, js jetstream.JetStream, subject string, p *messages.Plan) error {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return err
	}
	m := nats.NewMsg(subject)
	m.Header.Set(messages.HeaderContentType, contentTypeProtobuf)
	m.Data = body
	_, err = js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
	return err
}
