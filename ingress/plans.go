package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
// content. When several nodes register at once, the first one wins and all get its content. A message on the plan's subject that
// is not this version of the plan was stored by no node: it is logged and removed, because it takes the place of the plan. The
// plan must be valid, and the streams must exist.
func RegisterPlan(ctx context.Context, js jetstream.JetStream, p *messages.Plan, log *slog.Logger) (*messages.Plan, error) {
	registered, err := registerPlan(ctx, js, p, log)
	if err != nil {
		return nil, fmt.Errorf("register plan %s v%d: %w", p.GetName(), p.GetVersion(), err)
	}
	return registered, nil
}

func registerPlan(ctx context.Context, js jetstream.JetStream, p *messages.Plan, log *slog.Logger) (*messages.Plan, error) {
	subject := planSubject(p.GetName(), p.GetVersion())
	stream, err := js.Stream(ctx, messages.StreamPlans)
	if err != nil {
		return nil, err
	}
	for {
		registered, foreign, err := registeredPlan(ctx, stream, p.GetName(), p.GetVersion())
		if err != nil || registered != nil {
			return registered, err
		}
		if foreign != 0 {
			log.Warn("message that no node stored takes the place of the plan, removing it", "stream", messages.StreamPlans, "sequence", foreign, "subject", subject)
			if err := removeMessage(ctx, stream, foreign); err != nil {
				return nil, fmt.Errorf("remove message %d of stream %s, which no node stored: %w", foreign, messages.StreamPlans, err)
			}
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
// Messages that no node stored are passed over.
func RegisteredPlan(ctx context.Context, js jetstream.JetStream, name string, version uint32) (*messages.Plan, error) {
	p, err := newestPlan(ctx, js, name, version)
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", name, err)
	}
	return p, nil
}

func newestPlan(ctx context.Context, js jetstream.JetStream, name string, version uint32) (*messages.Plan, error) {
	stream, err := js.Stream(ctx, messages.StreamPlans)
	if err != nil {
		return nil, err
	}
	all := []uint32{version}
	if version == 0 {
		if all, err = storedVersions(ctx, stream, name); err != nil {
			return nil, err
		}
	}
	for _, version := range slices.Backward(all) {
		if p, _, err := registeredPlan(ctx, stream, name, version); p != nil || err != nil {
			return p, err
		}
	}
	return nil, nil
}

// storedVersions lists the versions on whose subjects something is stored, in ascending order.
func storedVersions(ctx context.Context, stream jetstream.Stream, name string) (all []uint32, err error) {
	prefix := messages.SubjectPlan + name + "."
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(prefix+"*"))
	if err != nil {
		return nil, err
	}
	for subject := range info.State.Subjects {
		if version, err := strconv.ParseUint(strings.TrimPrefix(subject, prefix), 10, 32); err == nil {
			all = append(all, uint32(version))
		}
	}
	slices.Sort(all)
	return all, nil
}

// registeredPlan asks the stream's leader; nil if the plan is not registered. foreign is the sequence of a message that is
// stored instead of it, or 0.
func registeredPlan(ctx context.Context, stream jetstream.Stream, name string, version uint32) (p *messages.Plan, foreign uint64, err error) {
	m, err := stream.GetLastMsgForSubject(ctx, planSubject(name, version))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	if p = DecodePlan(m.Subject, m.Header, m.Data); p == nil {
		return nil, m.Sequence, nil
	}
	return p, 0, nil
}

// DecodePlan decodes a message of the stream of plans; nil if no node stored it.
func DecodePlan(subject string, header nats.Header, body []byte) *messages.Plan {
	p := &messages.Plan{}
	if headerValue(header, messages.HeaderContentType) != contentTypeProtobuf || proto.Unmarshal(body, p) != nil ||
		subject != planSubject(p.GetName(), p.GetVersion()) {
		return nil
	}
	return p
}

// removeMessage removes a message, unless it is no longer stored: another node may have removed it.
func removeMessage(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	if _, missing := stream.GetMsg(ctx, sequence); errors.Is(missing, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
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
