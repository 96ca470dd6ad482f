package cli

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/index"
)

// waitListed waits until the list has n orders.
func (p *process) waitListed(t *testing.T, n int, args ...string) []index.Order {
	t.Helper()
	var page index.Page
	eventually(t, fmt.Sprintf("%d orders in the list %v", n, args), func() (bool, any) {
		got := command(t, p.environ, "", append([]string{"list", "-o", "json"}, args...)...)
		page = index.Page{}
		if got.code == exitOK {
			page = decode[index.Page](t, got.out)
		}
		return len(page.Orders) == n, got.out + got.err
	})
	return page.Orders
}

// attentionCause is the cause of the orders in attention.
const attentionCause = "nats://payments.authorize: answered 503: card network is unavailable"

// startWithAttentionOrders starts a node with working services, and n orders that are in attention since an earlier failure.
func startWithAttentionOrders(t *testing.T, n int) (p *process, ids []string) {
	t.Helper()
	return startWithCauses(t, slices.Repeat([]string{attentionCause}, n)...)
}

// startWithCauses starts a node with working services, and an order in attention for each cause.
func startWithCauses(t *testing.T, causes ...string) (p *process, ids []string) {
	t.Helper()
	p = withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{})
	pinned, err := plan.Load(write(t, "plan.yaml", threeAttemptsPlan), gateway.Check)
	if err != nil {
		t.Fatal(err)
	}
	js := p.jetStream(t)
	for i, attentionCause := range causes {
		id := fmt.Sprintf("o-%d", i)
		e := &messages.JournalEntry{OrderId: id, Number: 1, Time: timestamppb.Now(), Node: "node-0", Events: []*messages.Event{
			{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
				Order: demo.Samples(1, uint64(i))[0], Plan: pinned, Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1 << 40}, Incarnation: "i",
			}}},
			{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "reserve_inventory", Attempt: 1}}},
			{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{Step: "authorize_payment", Cause: attentionCause}}},
		}}
		e.Events[0].GetAccepted().Order.OrderId, e.Events[0].GetAccepted().Order.CustomerId = id, "c-7"
		body, err := journal.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		m := &nats.Msg{Subject: messages.SubjectEvent + id, Data: body, Header: nats.Header{messages.HeaderEvent: {journal.Kinds(e)}, messages.HeaderExpected: {"0"}}}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	p.waitListed(t, len(causes), "--status", "attention")
	return p, ids
}

// TestList: by status, customer, reason and age, in both forms and over HTTP.
func TestList(t *testing.T) {
	t.Parallel()
	p, _ := startWithAttentionOrders(t, 3)
	p.publish(t, orderWith("o-done", "c-8", "sku-1"), "--wait")
	p.publish(t, orderWith("o-no", demo.CustomerDeclined, "sku-1"), "--wait")
	if text := ok(t, p.environ, "list", "--customer", "nobody"); text != "no orders\n" {
		t.Errorf("got %q", text)
	}
	p.waitListed(t, 5)
	if got := p.waitListed(t, 1, "--customer", "c-8")[0]; got.Status != "completed" || got.Total != "19.00" || got.Plan != "impatient v3" || got.Step != "" || got.Reason != "" {
		t.Errorf("got %+v", got)
	}
	for args, want := range map[string]int{
		"--status attention,rejected": 4, "--status attention --status completed": 4, "--status running": 0,
		"--reason CARD_NETWORK": 0, "--reason DECLINED": 1, "--status attention --customer c-8": 0, "--older 1h": 0, "--newer 1h": 5,
		"--limit 2": 2, "--limit 0": 5,
	} {
		p.waitListed(t, want, strings.Fields(args)...)
	}

	text := ok(t, p.environ, "list", "--status", "attention", "--limit", "2")
	if !regexp.MustCompile(`^ORDER +CUSTOMER +STATUS +FOR +STEP +UNTIL +REASON
o-\d +c-7 +attention +\S+s +authorize_payment +- +\S.*
o-\d +c-7 +attention +\S+s +authorize_payment +- +\S.*
the first 2; continue with --cursor \w+
$`).MatchString(text) {
		t.Errorf("got\n%s", text)
	}
	cursor := text[strings.LastIndex(text, " ")+1:]
	p.waitListed(t, 1, "--status", "attention", "--cursor", strings.TrimSpace(cursor))

	answer := p.request(t, http.MethodGet, "/v1/orders?status=attention&limit=1", "")
	page := decode[index.Page](t, answer.body)
	if answer.code != http.StatusOK || len(page.Orders) != 1 || page.Next == "" || page.Node != "node-1" || page.Behind > natstest.Patience.Seconds() {
		t.Errorf("%d: %s", answer.code, answer.body)
	}
}

// TestListParked: what an order waits for, and until when.
func TestListParked(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	p.publish(t, sampleOrder("o-1"))
	o := p.waitListed(t, 1, "--status", "parked")[0]
	if o.WaitsUntil == nil || o.Reason == "" || o.Step != "authorize_payment" {
		t.Errorf("got %+v", o)
	}
	if text := ok(t, p.environ, "list", "--status", "parked"); !strings.Contains(text, o.WaitsUntil.Format(time.RFC3339)) {
		t.Errorf("got\n%s", text)
	}
	// Parked orders can be cancelled together.
	if text := ok(t, p.environ, "cancel", "--all", "--status", "parked", "--yes", "--why", "shop closed"); !strings.HasSuffix(text, "1 of 1 sent\n") {
		t.Errorf("got\n%s", text)
	}
	if v := p.waitStatus(t, "o-1", "cancelled"); v.Reason != "shop closed" {
		t.Errorf("reason %q", v.Reason)
	}
}

// TestListWithoutIndex says what to do, on the command line and over HTTP.
func TestListWithoutIndex(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "ORDERLY_INDEX=off")
	requireFailure(t, command(t, p.environ, "", "list"), exitFailed, "no node with an index answers: start one, with ORDERLY_INDEX=on")
	requireFailure(t, command(t, p.environ, "", "retry", "--all"), exitFailed, "no node with an index answers")
	answer := p.request(t, http.MethodGet, "/v1/orders", "")
	if answer.code != http.StatusServiceUnavailable || !strings.Contains(answer.body, "ORDERLY_INDEX=on") {
		t.Errorf("%d: %s", answer.code, answer.body)
	}
}

// TestListOfAnotherNode: a node without an index forwards the query to one that has it.
func TestListOfAnotherNode(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	other := start(t, nil, "NATS_URL="+p.url, "ORDERLY_INDEX=off", "ORDERLY_NODE_ID=node-2")
	p.publish(t, sampleOrder("o-1"), "--wait")
	p.waitListed(t, 1)
	page := decode[index.Page](t, other.request(t, http.MethodGet, "/v1/orders", "").body)
	if len(page.Orders) != 1 || page.Node != "node-1" {
		t.Errorf("got %+v", page)
	}
	answer := other.request(t, http.MethodGet, "/v1/orders?status=strange", "")
	if answer.code != http.StatusBadRequest || !strings.Contains(answer.body, "strange") {
		t.Errorf("%d: %s", answer.code, answer.body)
	}
}

// TestListAfterRestart: a restarted node has its index at once; with ORDERLY_INDEX=rebuild it builds a new one.
func TestListAfterRestart(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	p.publish(t, samples("o-1", "o-2"), "--wait")
	p.waitListed(t, 2)
	p.stop()
	p.wait(t)
	for _, mode := range []string{"on", "rebuild"} {
		again := demoNode(t, "ORDERLY_DATA_DIR="+p.dir, "ORDERLY_INDEX="+mode)
		again.waitListed(t, 2, "--status", "completed")
		again.stop()
		again.wait(t)
		if rebuilt := strings.Contains(again.err.String(), "rebuilding index"); rebuilt != (mode == "rebuild") {
			t.Errorf("%s: rebuilt: %t\n%s", mode, rebuilt, again.err)
		}
	}
}

// TestWrongLists: usage errors are reported before a request is sent.
func TestWrongLists(t *testing.T) {
	for args, want := range map[string]string{
		"list attention":                       `unexpected argument "attention": want "orderly list"`,
		"list --status done":                   `status "done": want running, compensating, parked, attention, completed, rejected or cancelled`,
		"list --limit -1":                      `--limit is -1: want 1 or more, or 0 for all`,
		"list --limit abc":                     `--limit is "abc": want a whole number; see "orderly list --help"`,
		"list --older -1h":                     `--older is -1h0m0s: want 0 or more`,
		"list --newer -1s":                     `--newer is -1s: want 0 or more`,
		"list --older 1d":                      `--older is "1d": want a duration with its unit (ms, s, m, h); see "orderly list --help"`,
		"retry --all --older -1h":              `--older is -1h0m0s: want 0 or more`,
		"retry --all --limit -1":               `--limit is -1: want 1 or more, or 0 for all`,
		"retry --all --rate NaN":               `--rate is NaN: want 0 or more`,
		"list --older 2h --newer 1h":           `want newer to be longer than older`,
		"list --status=":                       `--status is empty: want a value, or leave it out`,
		"list --status=,":                      `status ""`,
		"list --customer=":                     `--customer is empty: want a value, or leave it out`,
		"list --reason=":                       `--reason is empty: want a value, or leave it out`,
		"list --cursor=":                       `--cursor is empty: want a value, or leave it out`,
		"cancel --all --reason= --yes":         `--reason is empty: want a value, or leave it out`,
		"retry --all --reason= --yes":          `--reason is empty: want a value, or leave it out`,
		"skip --all --reason= --yes":           `--reason is empty: want a value, or leave it out`,
		"list --cursor x":                      `cursor "x": want the field next of the previous page`,
		"retry o-1 --all":                      `name an order or --all, not both`,
		"retry o-1 --reason x":                 `--reason goes with --all`,
		"skip o-1 --yes":                       `--yes goes with --all`,
		"retry --all --status running":         `--status is "running": want attention or parked`,
		"skip --all --status parked":           `--status is "parked": want attention`,
		"cancel --all --wait":                  `--wait goes with one order, not with --all`,
		"cancel --all --dry-run --yes":         `--dry-run sends nothing: leave out --yes`,
		"cancel o-1 --why x":                   `--why goes with --all`,
		"retry --all --rate -1":                `--rate is -1: want 0 or more`,
		"retry --all --status attention,ended": `--status is "ended": want attention or parked`,
	} {
		t.Run(args, func(t *testing.T) {
			requireFailure(t, command(t, noServer, "", strings.Fields(args)...), exitUsage, want)
		})
	}
	long := strings.Repeat("x", 20_000)
	for args, want := range map[string]string{
		"list --customer":      `--customer has 20000 bytes: at most 256 are allowed`,
		"list --reason":        `reason has 20000 bytes: at most 1024 are allowed`,
		"retry --all --reason": `reason has 20000 bytes: at most 1024 are allowed`,
	} {
		t.Run(args, func(t *testing.T) {
			requireFailure(t, command(t, noServer, "", append(strings.Fields(args), long)...), exitUsage, want)
		})
	}
	for verb, want := range map[string]string{"cancel": "attention or parked", "retry": "attention or parked", "skip": "attention"} {
		t.Run(verb+" --all with an empty status", func(t *testing.T) {
			requireFailure(t, command(t, noServer, "", verb, "--all", "--status", "", "--yes"), exitUsage, "--status is empty: want "+want)
		})
	}
}
