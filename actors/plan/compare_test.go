package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

func TestCheckUnchangedComparesMeaning(t *testing.T) {
	fromJSON, err := plan.Parse([]byte(builtinJSON), knownTarget)
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := plan.Parse([]byte("# another comment"+builtinYAML), knownTarget)
	if err != nil {
		t.Fatal(err)
	}
	made := &messages.Plan{Name: "order", Version: 1}
	for _, s := range plan.Builtin().Steps {
		made.Steps = append(made.Steps, &messages.Step{Name: s.Name, Do: s.Do, Undo: s.Undo})
	}
	for _, registered := range []*messages.Plan{fromJSON, fromYAML, made, plan.Builtin()} {
		for _, given := range []*messages.Plan{fromJSON, fromYAML, made, plan.Builtin()} {
			if err := plan.CheckUnchanged(registered, given); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCheckUnchangedNamesEveryDifference(t *testing.T) {
	for want, change := range map[string]func(*messages.Plan){
		"step reserve_inventory: do: nats://inventory.reserve → http://shop/reserve": func(p *messages.Plan) { p.Steps[0].Do = "http://shop/reserve" },
		"step reserve_inventory: undo: nats://inventory.release → none":              func(p *messages.Plan) { p.Steps[0].Undo = "" },
		"step capture_payment: undo: none → nats://payments.refund":                  func(p *messages.Plan) { p.Steps[3].Undo = "nats://payments.refund" },
		"step create_shipment: timeout: 2s → 1m30s":                                  func(p *messages.Plan) { p.Steps[2].Timeout = durationpb.New(90 * time.Second) },
		"step create_shipment: retry.initial: 100ms → 1s":                            func(p *messages.Plan) { p.Steps[2].Retry.Initial = durationpb.New(time.Second) },
		"step create_shipment: retry.max: 30s → 1m0s":                                func(p *messages.Plan) { p.Steps[2].Retry.Max = durationpb.New(time.Minute) },
		"step create_shipment: retry.attempts: 10 → 3":                               func(p *messages.Plan) { p.Steps[2].Retry.Attempts = 3 },
		"step create_shipment: limits.concurrency: 256 → 0":                          func(p *messages.Plan) { p.Steps[2].Limits.Concurrency = 0 },
		"step create_shipment: limits.rate: 0 → 12.5":                                func(p *messages.Plan) { p.Steps[2].Limits.Rate = 12.5 },
		"step create_shipment: in_doubt: settle → undo":                              func(p *messages.Plan) { p.Steps[2].InDoubt = messages.InDoubt_IN_DOUBT_UNDO },
		"step create_shipment: encoding: json → protobuf":                            func(p *messages.Plan) { p.Steps[2].Encoding = messages.Encoding_ENCODING_PROTOBUF },
		`step reserve_inventory: reply.done_when: none → body.ok; step reserve_inventory: reply.data: none → body.items[0]`: func(p *messages.Plan) {
			p.Steps[0].Reply = &messages.Reading{DoneWhen: "body.ok", Data: "body.items[0]"}
		},
		"step reserve_inventory: undo_reply.retry_when: none → status == 503 || body.a": func(p *messages.Plan) {
			p.Steps[0].UndoReply = &messages.Reading{RetryWhen: "status == 503\n  || body.a", DoneWhen: "true"}
		},
		"step reserve_inventory: nothing_to_undo: none → already_voided, 404": func(p *messages.Plan) {
			p.Steps[0].NothingToUndo = []string{"already_voided", "404"}
		},
		"step reserve_inventory: reply.done_when: none → body" + strings.Repeat(".a", 48) + "…": func(p *messages.Plan) {
			p.Steps[0].Reply = &messages.Reading{DoneWhen: "body" + strings.Repeat(".a", 60)}
		},
		"(step wrap is new)":                func(p *messages.Plan) { p.Steps = append(p.Steps, &messages.Step{Name: "wrap", Do: "sim:"}) },
		"(step capture_payment is removed)": func(p *messages.Plan) { p.Steps = p.Steps[:3] },
		"order of the steps: reserve_inventory, authorize_payment, create_shipment, capture_payment → authorize_payment, reserve_inventory,": func(p *messages.Plan) {
			p.Steps[0], p.Steps[1] = p.Steps[1], p.Steps[0]
		},
		"it has fields that this version does not know": func(p *messages.Plan) { p.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 1}) },
		"; and 4 more)": func(p *messages.Plan) {
			for i := range 12 {
				p.Steps = append(p.Steps, &messages.Step{Name: fmt.Sprintf("wrap_%d", i), Do: "sim:"})
			}
		},
	} {
		p := plan.Builtin()
		change(p)
		err := plan.CheckUnchanged(plan.Builtin(), p)
		if !errors.Is(err, plan.ErrChanged) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "raise the version") ||
			!strings.HasPrefix(err.Error(), "plan order v1 ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v\nwant one line that contains %s", err, want)
		}
		if err := plan.CheckUnchanged(p, plan.Builtin()); !errors.Is(err, plan.ErrChanged) {
			t.Errorf("%s, reversed: %v", want, err)
		}
	}
}

func TestCheckUnchangedHidesQueries(t *testing.T) {
	of := func(target string) *messages.Plan {
		return &messages.Plan{Name: "gift", Version: 2, Steps: []*messages.Step{{Name: "wrap", Do: target}}}
	}
	for target, want := range map[string]string{
		"https://shop/wrap?token=s3cret2": "step wrap: do: what is not shown of https://shop/wrap?… differs",
		"https://shop/pack?token=s3cret2": "step wrap: do: https://shop/wrap?… → https://shop/pack?…",
		"shop/pack?token=s3cret2":         "step wrap: do: https://shop/wrap?… → shop/pack?…",
	} {
		err := plan.CheckUnchanged(of("https://shop/wrap?token=s3cret1"), of(target))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v\nwant %s without a secret", err, want)
		}
	}
}

func TestCheckUnchangedSaysThatTheEndDiffers(t *testing.T) {
	of := func(end string) *messages.Plan {
		return &messages.Plan{Name: "gift", Version: 2, Steps: []*messages.Step{{
			Name: "wrap", Do: "sim:", Reply: &messages.Reading{DoneWhen: "body" + strings.Repeat(".a", 60) + end},
		}}}
	}
	err := plan.CheckUnchanged(of(".b"), of(".c"))
	if err == nil || !strings.Contains(err.Error(), "reply.done_when: what is not shown of body.a") {
		t.Errorf("got %v", err)
	}
	if err := plan.CheckUnchanged(of(".b"), of(".b")); err != nil {
		t.Error(err)
	}
}

func TestWithDefaultsCopies(t *testing.T) {
	p := &messages.Plan{Name: "gift", Version: 1, Steps: []*messages.Step{
		{Name: "wrap", Do: "sim:", Retry: &messages.Retry{Initial: durationpb.New(time.Minute)}}, nil,
	}}
	before := proto.CloneOf(p)
	done := plan.WithDefaults(p)
	if !proto.Equal(p, before) {
		t.Errorf("the original became %s", p)
	}
	if r := done.Steps[0].GetRetry(); r.GetAttempts() != 10 || r.GetMax().AsDuration() != time.Minute {
		t.Errorf("retry is %s: want 10 attempts at most a minute apart", r)
	}
	if err := plan.Validate(done, knownTarget); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("a plan with a nil step: %v", err)
	}
	if plan.WithDefaults(nil) != nil {
		t.Error("no plan became one")
	}
}
