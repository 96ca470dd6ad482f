package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/permission"
)

// guarded is a server with the accounts that "orderly permissions" prints.
type guarded struct {
	*natstest.Server
	plan string

	mu         sync.Mutex
	violations []string
}

func startGuarded(t *testing.T, more ...string) *guarded {
	t.Helper()
	g := &guarded{plan: write(t, "plan.yaml", threeAttemptsPlan)}
	for _, role := range permission.Roles() {
		t.Setenv("ORDERLY_"+strings.ToUpper(string(role))+"_PASSWORD", "pw-"+string(role))
	}
	accounts := ok(t, nil, append([]string{"permissions", "--plan", g.plan}, more...)...)
	g.Server = natstest.Start(t, func(o *server.Options) {
		if err := o.ProcessConfigString(accounts); err != nil {
			t.Fatal(err)
		}
	})
	g.SetLogger(g, false, false)
	return g
}

// The server logs violations as errors.
func (g *guarded) Errorf(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); strings.Contains(text, "Violation") {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.violations = append(g.violations, text)
	}
}
func (g *guarded) Noticef(string, ...any) {}
func (g *guarded) Warnf(string, ...any)   {}
func (g *guarded) Fatalf(string, ...any)  {}
func (g *guarded) Debugf(string, ...any)  {}
func (g *guarded) Tracef(string, ...any)  {}

func (g *guarded) takeViolations() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.violations
	g.violations = nil
	return taken
}

// url is that of a role's user.
func (g *guarded) url(role permission.Role) string {
	return strings.Replace(g.ClientURL(), "nats://", fmt.Sprintf("nats://%s:pw-%[1]s@", role), 1)
}

func (g *guarded) environ(role permission.Role) []string {
	if role == permission.Viewer {
		return []string{"NATS_URL=" + g.url(role), "NATS_JS_DOMAIN=" + permission.ClientDomain}
	}
	return []string{"NATS_URL=" + g.url(role)}
}

func (g *guarded) connect(t *testing.T, role permission.Role, options ...nats.Option) *nats.Conn {
	t.Helper()
	return natstest.Connect(t, g.url(role), options...)
}

// serve answers the calls of the plan. The shipment of o-signal is pending; the payment of o-attention is refused in doubt until
// it may succeed.
func (g *guarded) serve(t *testing.T) (mend func()) {
	t.Helper()
	var mended sync.Once
	done := make(chan struct{})
	nc := g.connect(t, permission.Service)
	for _, subject := range []string{"inventory.*", "payments.*", "shipping.*"} {
		for _, call := range []string{"reserve", "release", "authorize", "void", "capture", "create", "cancel"} {
			subject := strings.Replace(subject, "*", call, 1)
			if !strings.Contains(threeAttemptsPlan, subject) {
				continue
			}
			if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
				var request struct {
					OrderID string `json:"order_id"`
				}
				_ = json.Unmarshal(m.Data, &request)
				answer := `{"done": {}}`
				switch {
				case request.OrderID == "o-signal" && m.Subject == "shipping.create":
					answer = fmt.Sprintf(`{"pending": {"signal": "shipped", "deadline": %q}}`, time.Now().Add(time.Hour).Format(time.RFC3339Nano))
				case strings.HasPrefix(request.OrderID, "o-attention") && m.Subject == "payments.authorize":
					select {
					case <-done:
					default:
						answer = "not readable"
					}
				}
				_ = m.Respond([]byte(answer))
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() { mended.Do(func() { close(done) }) }
}

// TestPermissions: under exactly the printed permissions every feature works, and the server refuses nothing.
func TestPermissions(t *testing.T) {
	g := startGuarded(t)
	mend := g.serve(t)
	p := start(t, nil, "NATS_URL="+g.url(permission.Engine), "ORDERLY_PLAN="+g.plan, "ORDERLY_DURABILITY=strict")
	kept := start(t, nil, "NATS_URL="+g.url(permission.Engine), "ORDERLY_PLAN="+g.plan, "ORDERLY_NODE_ID=node-2", "ORDERLY_INDEX=off")

	publisher, viewer, operator := g.environ(permission.Publisher), g.environ(permission.Viewer), g.environ(permission.Operator)
	p.environ = viewer
	orders := samples("o-signal", "o-attention-1", "o-attention-2", "o-attention-3")
	if got := command(t, publisher, orders, "publish", "-"); got.code != exitOK {
		t.Fatalf("publish: %+v", got)
	}
	ok(t, operator, "publish", "-n", "50", "--wait", "--timeout", "1m")
	p.waitStatus(t, "o-signal", "parked")
	for _, id := range []string{"o-attention-1", "o-attention-2", "o-attention-3"} {
		p.waitStatus(t, id, "attention")
	}
	// The index, by the node that keeps it and by one that asks it.
	for _, environ := range [][]string{viewer, operator} {
		eventually(t, "orders in attention are listed", func() (bool, any) {
			got := command(t, environ, "", "list", "--status", "attention")
			return strings.Count(got.out, "o-attention-") == 3, got.out + got.err
		})
	}
	if got := kept.request(t, http.MethodGet, "/v1/orders?status=attention", ""); strings.Count(got.body, "o-attention-") < 3 {
		t.Errorf("a node without an index: %+v", got)
	}
	ok(t, operator, "get", "o-attention-1")
	ok(t, publisher, "signal", "o-signal", "shipped")
	ok(t, operator, "skip", "o-attention-1")
	mend()
	ok(t, operator, "retry", "o-attention-2")
	ok(t, operator, "cancel", "o-attention-3", "--wait")
	if got := ok(t, operator, "get", "o-signal", "--follow"); !strings.Contains(got, "order completed") {
		t.Errorf("followed:\n%s", got)
	}
	ok(t, viewer, "plan", "show", "impatient")
	requireFailure(t, command(t, viewer, "", "get", "o-unknown"), exitFailed, "no order o-unknown")

	// Dead letters.
	if got := command(t, publisher, "", "cancel", "o-nobody"); got.code != exitOK {
		t.Errorf("cancel: %+v", got)
	}
	p.waitDeadLetters(t, 1)
	ok(t, viewer, "dead", "show", "1")
	if got := command(t, publisher, samples("o-nobody"), "publish", "-"); got.code != exitOK {
		t.Errorf("publish: %+v", got)
	}
	p.waitStatus(t, "o-nobody", "completed")
	ok(t, operator, "dead", "redrive", "1")
	ok(t, operator, "repair", "--yes")
	balanced(t, operator)

	// What write-off stores, if a message is lost.
	requireFailure(t, command(t, operator, "", "write-off", "1", "--yes"), exitFailed, "message 1 of ORDERS is not lost")
	written := ledger.New(natstest.JetStream(t, g.connect(t, permission.Operator)), slog.New(slog.DiscardHandler))
	if err := written.Append(natstest.Context(t), messages.LedgerKind_LEDGER_KIND_WRITTEN_OFF, ledger.Range(1, 1)); err != nil {
		t.Error(err)
	}

	// Old dead letters are deleted, and ended orders with their timers.
	deadRetention, err := ingress.NewDeadLetterRetention(natstest.JetStream(t, g.connect(t, permission.Engine)), time.Nanosecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deadRetention.Sweep(natstest.Context(t)); err != nil {
		t.Error(err)
	}
	retention, err := ingress.NewRetention(natstest.JetStream(t, g.connect(t, permission.Engine)), time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if deleted, err := retention.Sweep(natstest.Context(t), time.Now().Add(time.Hour)); deleted < 50 || err != nil {
		t.Errorf("%d orders deleted, %v", deleted, err)
	}

	if found := g.takeViolations(); len(found) > 0 {
		t.Errorf("the server refused:\n%s", strings.Join(found, "\n"))
	}
}

// TestPermissionsOfTheDemo: the accounts of deploy let a node run the demo services.
func TestPermissionsOfTheDemo(t *testing.T) {
	want, err := os.ReadFile("../../deploy/accounts.conf")
	if err != nil {
		t.Fatal(err)
	}
	if got := ok(t, nil, "permissions", "--demo"); got != string(want) {
		t.Error("deploy/accounts.conf is another: go run ./node/orderly permissions --demo > deploy/accounts.conf")
	}
	g := startGuarded(t, "--demo")
	start(t, []string{"--demo"}, "NATS_URL="+g.url(permission.Engine), "ORDERLY_DEMO_ORDERS=5")
	operator := g.environ(permission.Operator)
	ok(t, operator, "publish", "-n", "20", "--wait", "--timeout", "1m")
	ok(t, operator, "demo", "behave", "fail=0")
	ok(t, operator, "demo", "stats")
	if found := g.takeViolations(); len(found) > 0 {
		t.Errorf("the server refused:\n%s", strings.Join(found, "\n"))
	}
}

// TestAccountsInACluster: the accounts work when the client, the node and the leaders are on different servers, and a reply subject
// stores nothing there either.
func TestAccountsInACluster(t *testing.T) {
	for _, role := range permission.Roles() {
		t.Setenv("ORDERLY_"+strings.ToUpper(string(role))+"_PASSWORD", "pw-"+string(role))
	}
	accounts := ok(t, nil, "permissions")
	servers := natstest.Cluster(t, func(o *server.Options) {
		if err := o.ProcessConfigString(accounts); err != nil {
			t.Error(err)
		}
	})
	at := func(i int) *guarded { return &guarded{Server: servers[i]} }
	serve := at(2)
	serve.serve(t)
	p := start(t, nil, "NATS_URL="+at(0).url(permission.Engine), "ORDERLY_REPLICAS=3")
	for i := range servers {
		id := fmt.Sprintf("o-%d", i)
		if got := command(t, at(i).environ(permission.Publisher), sampleOrder(id), "publish", "-"); got.code != exitOK {
			t.Fatalf("publish: %+v", got)
		}
		if err := at(i).connect(t, permission.Publisher).PublishRequest("ORDER."+id, "ORDER_EVENT.victim", []byte(sampleOrder(id))); err != nil {
			t.Fatal(err)
		}
		p.environ = at((i + 1) % 3).environ(permission.Viewer)
		p.waitStatus(t, id, "completed")
		eventually(t, "the order is listed", func() (bool, any) {
			got := command(t, p.environ, "", "list")
			return strings.Contains(got.out, id), got
		})
	}
	balanced(t, at(1).environ(permission.Operator))
	if got := ok(t, at(2).environ(permission.Operator), "repair"); got != "every message was stored by a node: nothing to remove\n" {
		t.Errorf("got %q", got)
	}
}

// TestNodeWithoutPermissionsDoesNotStart: it ends with one line that names every missing permission, and makes no stream.
func TestNodeWithoutPermissionsDoesNotStart(t *testing.T) {
	g := startGuarded(t)
	p := startNoWait(t, nil, "NATS_URL="+g.url(permission.Operator), "NATS_INBOX_PREFIX=INBOX.node")
	if code := p.wait(t); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	var last string
	for line := range strings.Lines(p.err.String()) {
		last = line
	}
	for _, want := range []string{
		"orderly: NATS permissions are missing: to publish to $JS.API.INFO, ", "ORDER_EVENT.*, ORDER_TIMER.*, ORDER_DEAD.*, ", "$JS.ACK.>, ",
		"inventory.reserve, ", "; to subscribe to INBOX.node.>, ORDERLY.list; ",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("%q is missing in: %s", want, last)
		}
	}
	if _, err := natstest.JetStream(t, g.connect(t, permission.Engine)).Stream(natstest.Context(t), messages.StreamOrders); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the node made a stream: %v", err)
	}
}

// TestRefusedCommandSaysSo: a command whose user lacks a permission names it, and where to see the roles.
func TestRefusedCommandSaysSo(t *testing.T) {
	g := startGuarded(t)
	start(t, nil, "NATS_URL="+g.url(permission.Engine), "ORDERLY_PLAN="+g.plan)
	for args, subject := range map[string]string{"dead list": "$JS.API.STREAM.MSG.GET.ORDER_DEAD", "get o-1": "$JS.API.STREAM.MSG.GET.ORDER_EVENTS"} {
		got := command(t, g.environ(permission.Publisher), "", strings.Fields(args)...)
		if want := "NATS does not permit messages to " + subject + ` to this user: the command needs another role, see "orderly permissions --help"`; got.code != exitFailed || !strings.Contains(got.err, want) {
			t.Errorf("orderly %s: exit code %d, %s", args, got.code, got.err)
		}
	}
}

// balanced waits until verify finds nothing: messages about orders may be under way.
func balanced(t *testing.T, environ []string) {
	t.Helper()
	eventually(t, "verify succeeds", func() (bool, any) {
		got := command(t, environ, "", "verify")
		return got.code == exitOK, got.out + got.err
	})
}

// covers reports whether a literal subject matches a pattern.
func covers(pattern, subject string) bool {
	return server.SubjectsCollide(pattern, subject)
}

// TestRolesAreRefusedTheRest: each role is refused every subject of the other roles.
func TestRolesAreRefusedTheRest(t *testing.T) {
	g := startGuarded(t)
	uses := permission.Uses{Calls: []string{"inventory.reserve"}}
	subjects := []string{"$JS.API.STREAM.DELETE.ORDERS", "$JS.API.STREAM.UPDATE.ORDERS", "$JS.API.CONSUMER.DELETE.ORDERS.orderly", "_INBOX.other", "anything"}
	for _, role := range permission.Roles() {
		for _, subject := range permission.Published(role, uses) {
			subject = strings.NewReplacer("*", "x", ">", "x").Replace(subject)
			if !slices.Contains(subjects, subject) {
				subjects = append(subjects, subject)
			}
		}
	}
	for _, role := range permission.Roles() {
		refused := make(chan error, len(subjects))
		nc := g.connect(t, role, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		for _, subject := range subjects {
			if slices.ContainsFunc(permission.Published(role, uses), func(own string) bool { return covers(own, subject) }) {
				continue
			}
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			if err := natstest.Receive(t, refused, fmt.Sprintf("the refusal of %s to %s", role, subject)); !strings.Contains(err.Error(), `Publish to "`+subject+`"`) {
				t.Errorf("%s to %s: %v", role, subject, err)
			}
		}
	}
}

// TestReplySubjectsOfClientsStoreNothing: whatever reply subject a publisher or a viewer chooses, the streams store no answer on
// it; in the account of the streams they would.
func TestReplySubjectsOfClientsStoreNothing(t *testing.T) {
	g := startGuarded(t)
	g.serve(t)
	p := start(t, nil, "NATS_URL="+g.url(permission.Engine), "ORDERLY_PLAN="+g.plan)
	admin := natstest.JetStream(t, g.connect(t, permission.Engine))
	stored := func(stream string) uint64 {
		t.Helper()
		s, err := admin.Stream(natstest.Context(t), stream)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.LastSeq
	}
	victims := map[string]string{
		"ORDER_EVENT.victim": messages.StreamEvents, "ORDER_TIMER.victim": messages.StreamTimers, "ORDER_WAKE.victim": messages.StreamTimers,
		"ORDER_DEAD.victim": messages.StreamDead, "ORDER_PLAN.impatient.4": messages.StreamPlans, "ORDER.victim": messages.StreamOrders,
	}
	before := map[string]uint64{}
	for _, stream := range victims {
		before[stream] = stored(stream)
	}
	publisher, viewer := g.connect(t, permission.Publisher), g.connect(t, permission.Viewer)
	for reply := range victims {
		if err := publisher.PublishRequest("ORDER.o-1", reply, []byte(sampleOrder("o-1"))); err != nil {
			t.Fatal(err)
		}
		for _, subject := range permission.Published(permission.Viewer, permission.Uses{}) {
			if err := viewer.PublishRequest(subject, reply, []byte(`{"seq":1}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := viewer.Request("$JS.ORDERLY.API.STREAM.INFO.ORDERS", nil, natstest.Patience); err != nil {
		t.Fatal(err)
	}
	p.environ = g.environ(permission.Viewer)
	p.waitStatus(t, "o-1", "completed")
	// The nodes write to the ledger meanwhile.
	if err := publisher.PublishRequest("ORDER.o-1", "ORDER_LEDGER.victim", []byte(sampleOrder("o-1"))); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Flush(); err != nil {
		t.Fatal(err)
	}
	// The test can fail: the answer to a user in the account of the streams is stored. It is sent after those to the publisher.
	if err := g.connect(t, permission.Operator).PublishRequest("ORDER.o-1", "ORDER_EVENT.victim", []byte(sampleOrder("o-1"))); err != nil {
		t.Fatal(err)
	}
	const entries = 5 // of an order of four steps
	want := map[string]uint64{messages.StreamOrders: uint64(len(victims)) + 2, messages.StreamEvents: entries + 1}
	natstest.Eventually(t, "the answer to an operator is stored", func() bool {
		return stored(messages.StreamEvents) >= before[messages.StreamEvents]+want[messages.StreamEvents]
	})
	ledger, err := admin.Stream(natstest.Context(t), messages.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := ledger.GetLastMsgForSubject(natstest.Context(t), "ORDER_LEDGER.victim"); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("the ledger stores %v, %v", m, err)
	}
	for stream, last := range before {
		if got := stored(stream) - last; got != want[stream] {
			t.Errorf("stream %s stored %d messages, want %d", stream, got, want[stream])
		}
	}
}

// TestClientOfAPublisher: programs publish with the permissions of a publisher.
func TestClientOfAPublisher(t *testing.T) {
	g := startGuarded(t)
	g.serve(t)
	p := start(t, nil, "NATS_URL="+g.url(permission.Engine), "ORDERLY_PLAN="+g.plan)
	c, err := client.New(g.connect(t, permission.Publisher))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := natstest.Context(t)
	if err := c.Create(ctx, engine.Order{ID: "o-1", CustomerID: "c-7", Items: []engine.Item{{ProductID: "sku-1", Quantity: 1, UnitPrice: 1}}}); err != nil {
		t.Fatal(err)
	}
	p.environ = g.environ(permission.Viewer)
	p.waitStatus(t, "o-1", "completed")
	batch, err := ingress.NewPublisher(g.connect(t, permission.Publisher), ingress.PublisherConfig{Batch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	acked := make(chan error, 100)
	for i := range cap(acked) {
		id := messages.OrderID(fmt.Sprintf("b-%d", i))
		if err := batch.Publish(ctx, ingress.Outgoing{OrderID: id, Body: &messages.CancelOrder{}}, func(_ ingress.PubAck, err error) { acked <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(acked) {
		if err := natstest.Receive(t, acked, "the acknowledgement of a batch"); err != nil {
			t.Fatal(err)
		}
	}
	if found := g.takeViolations(); len(found) > 0 {
		t.Errorf("the server refused:\n%s", strings.Join(found, "\n"))
	}
}
