package servicecheck_test

import (
	"testing"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/servicecheck"
)

// TestDemoServicesKeepTheRules: each step of the demo services, in both encodings.
func TestDemoServicesKeepTheRules(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s, err := demo.Start(nc, demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, encoding := range []messages.Encoding{messages.Encoding_ENCODING_JSON, messages.Encoding_ENCODING_PROTOBUF} {
		for _, target := range [][2]string{
			{"nats://inventory.reserve", "nats://inventory.release"}, {"nats://payments.authorize", "nats://payments.void"},
			{"nats://shipping.create", "nats://shipping.cancel"}, {"nats://payments.capture", ""},
		} {
			t.Run(target[0]+" "+encoding.String(), func(t *testing.T) {
				caller := servicecheck.NewCaller(nc, gateway.Config{})
				defer caller.Close()
				report, err := servicecheck.Run(t.Context(), caller, servicecheck.Config{Do: target[0], Undo: target[1], Encoding: encoding})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range report.Checks {
					t.Logf("%+v", c)
					if c.Verdict != servicecheck.OK {
						t.Errorf("%s: %s (%s): %s", c.Name, c.Verdict, c.Tried, c.Came)
					}
				}
			})
		}
	}
}
