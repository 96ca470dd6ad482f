package bench

import "testing"

// TestServicesCheck: a run fails if a call is missing, made twice, or made under another key than that of its step and order.
func TestServicesCheck(t *testing.T) {
	type call struct{ target, key, order string }
	right := []call{
		{"inventory.reserve", "o-1/reserve_inventory/do", "o-1"}, {"payments.authorize", "o-1/authorize_payment/do", "o-1"},
		{"shipping.create", "o-1/create_shipment/do", "o-1"}, {"payments.capture", "o-1/capture_payment/do", "o-1"},
	}
	for name, c := range map[string]struct {
		calls []call
		want  string
	}{
		"right":         {right, ""},
		"missing":       {right[:3], "the services were called 3 times: want 4"},
		"twice":         {append(right[:4:4], right[0]), "inventory.reserve was called twice with the key o-1/reserve_inventory/do: measure again while the machine is less busy"},
		"step's key":    {append(right[:3:3], call{"payments.capture", "o-2/create_shipment/do", "o-2"}), `payments.capture was called with the key "o-2/create_shipment/do": not that of its step and of the order in the body`},
		"order's key":   {append(right[:3:3], call{"payments.capture", "o-2/capture_payment/do", "o-1"}), `payments.capture was called with the key "o-2/capture_payment/do": not that of its step and of the order in the body`},
		"other service": {append(right[:3:3], call{"payments.void", "o-1/capture_payment/do", "o-1"}), `payments.void was called with the key "o-1/capture_payment/do": not that of its step and of the order in the body`},
	} {
		s := newServices()
		for _, c := range c.calls {
			s.called(c.target, c.key, []byte(`{"order_id":"`+c.order+`"}`))
		}
		got := ""
		if err := s.check(1); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
