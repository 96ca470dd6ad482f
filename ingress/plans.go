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
)

// registerPause is how long another node's registration under way is waited for before it is looked for again.
const registerPause = 20 * time.Millisecond

// RegisterPlan returns the content that is registered under the plan's name and version: that of p itself if there was
// none before. Of any number of nodes that register at once the first one wins, and all are told its content. The
// plan must be valid, and the streams must exist.
func RegisterPlan(ctx context.Context, js jetstream.JetStream, p *messages.Plan) (*messages.Plan, error) {
	subject := messages.SubjectPlan + p.GetName() + "." + strconv.FormatUint(uint64(p.GetVersion()), 10)
	stream, err := js.Stream(ctx, messages.StreamPlans)
	if err != nil {
		return nil, fmt.Errorf("register plan %s v%d: %w", p.GetName(), p.GetVersion(), err)
	}
	for {
		registered, err := registeredPlan(ctx, stream, subject)
		if err == nil && registered == nil {
			registered, err = p, publishPlan(ctx, js, subject, p)
		}
		if !conflict(err) {
			if err != nil {
				return nil, fmt.Errorf("register plan %s v%d: %w", p.GetName(), p.GetVersion(), err)
			}
			return registered, nil
		}
		select {
		case <-time.After(registerPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("register plan %s v%d: %w: %w", p.GetName(), p.GetVersion(), ctx.Err(), err)
		}
	}
}

// registeredPlan asks the stream's leader; nil when nothing is registered.
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
		return nil, fmt.Errorf("what is stored at sequence %d of stream %s is no plan: %w", m.Sequence, messages.StreamPlans, err)
	}
	return p, nil
}

// publishPlan stores the plan unless its subject is taken.
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

// conflict reports whether another node was faster, or is about to be: servers with replicas say so by a code of its own.
func conflict(err error) bool {
	const wrongLastSequence, writeUnderWay = 10071, 10164
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == wrongLastSequence || api.ErrorCode == writeUnderWay)
}
