package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	subject := planSubject(p.GetName(), p.GetVersion())
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

func planSubject(name string, version uint32) string {
	return messages.SubjectPlan + name + "." + strconv.FormatUint(uint64(version), 10)
}

// RegisteredPlan returns the plan that is registered under a valid name and a version, 0: its highest one; nil if there is none.
func RegisteredPlan(ctx context.Context, js jetstream.JetStream, name string, version uint32) (*messages.Plan, error) {
	stream, err := js.Stream(ctx, messages.StreamPlans)
	if err == nil && version == 0 {
		version, err = highestVersion(ctx, stream, name)
	}
	var p *messages.Plan
	if err == nil && version > 0 {
		p, err = registeredPlan(ctx, stream, planSubject(name, version))
	}
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", name, err)
	}
	return p, nil
}

// highestVersion returns the highest version that is registered under a name; 0: none is.
func highestVersion(ctx context.Context, stream jetstream.Stream, name string) (highest uint32, err error) {
	prefix := messages.SubjectPlan + name + "."
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+"*"))
	if err != nil {
		return 0, err
	}
	for subject := range info.State.Subjects {
		if version, err := strconv.ParseUint(strings.TrimPrefix(subject, prefix), 10, 32); err == nil {
			highest = max(highest, uint32(version))
		}
	}
	return highest, nil
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
