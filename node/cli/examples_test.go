package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

const examples = "../../deploy/examples/"

// program is an example service in its own process.
type program struct {
	t       *testing.T
	argv    []string
	environ []string
	out     *syncBuffer
	cmd     *exec.Cmd
	ended   chan error
}

// example starts a service of deploy/examples and waits until it listens.
func example(t *testing.T, argv []string, environ ...string) *program {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Fatalf("%s is missing: this test runs the services of deploy/examples; install it (Debian: apt-get install python3 nodejs)", argv[0])
	}
	p := &program{t: t, argv: argv, environ: append(os.Environ(), environ...), out: &syncBuffer{}}
	p.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(argv, " "), p.out)
		}
		_ = p.stop(syscall.SIGKILL)
	})
	return p
}

func (p *program) start() {
	p.t.Helper()
	before := strings.Count(p.out.String(), `"listening"`)
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.environ, p.out, p.out
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	eventually(p.t, p.argv[1]+" to listen", func() (bool, any) {
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("%s ended: %v\n%s", p.argv[1], err, p.out)
		default:
		}
		return strings.Count(p.out.String(), `"listening"`) > before, p.out
	})
}

// stop sends the signal and returns how the service ended.
func (p *program) stop(s syscall.Signal) error {
	p.t.Helper()
	_ = p.cmd.Process.Signal(s)
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(natstest.Patience):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("%s does not stop on %s", p.argv[1], s)
		return <-p.ended
	}
}

// exampleServices is a node with the example plan and its two services.
type exampleServices struct {
	*process
	t               *testing.T
	stock, payments *program
	stockURL        string
	ledger          string
	nc              *nats.Conn
}

func startExamples(t *testing.T) *exampleServices {
	t.Helper()
	s := &exampleServices{t: t, ledger: filepath.Join(t.TempDir(), "payments.jsonl")}
	addr := natstest.FreeAddr(t)
	s.stockURL = "http://" + addr
	text, err := os.ReadFile(examples + "plan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The example plan with the address of this test and shorter retry delays.
	plan := strings.NewReplacer("http://127.0.0.1:8091", s.stockURL, "initial: 200ms, max: 5s, attempts: 20", "initial: 50ms, max: 500ms, attempts: 200").Replace(string(text))
	if plan == string(text) {
		t.Fatal("plan.yaml does not have the expected address")
	}
	s.process = withPlan(t, plan)
	s.nc = s.connect(t)
	s.stock = example(t, []string{"python3", examples + "stock-http-python/stock.py"},
		"STOCK_ADDR="+addr, "STOCK_DB="+filepath.Join(t.TempDir(), "stock.db"))
	s.payments = example(t, []string{"node", examples + "payments-nats-node/payments.js"},
		"NATS_URL="+s.url, "PAYMENTS_LEDGER="+s.ledger, "PAYMENTS_CONFIRM_AFTER=300")
	return s
}

// orderOf is an order of that many pieces at 10.00 each.
func orderOf(id, customer, product string, quantity int) string {
	return fmt.Sprintf(`{"order_id":%q,"customer_id":%q,"items":[{"product_id":%q,"quantity":%d,"unit_price":10}],"total_amount":%d}`+"\n",
		id, customer, product, quantity, 10*quantity)
}

// left returns the remaining stock of a product.
func (s *exampleServices) left(product string) int {
	s.t.Helper()
	_, body := s.fetch(http.MethodGet, "/stock", "", 0)
	return decode[map[string]int](s.t, body)[product]
}

// fetch calls the stock service, with a fencing token.
func (s *exampleServices) fetch(method, path, body string, token int) (status int, answer string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.stockURL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set(messages.HeaderFencingToken, strconv.Itoa(token))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// ask calls the payments service, with a fencing token.
func (s *exampleServices) ask(subject, body string, token int) string {
	s.t.Helper()
	header := nats.Header{messages.HeaderFencingToken: {strconv.Itoa(token)}}
	m, err := s.nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte(body)}, natstest.Patience)
	if err != nil {
		s.t.Fatal(err)
	}
	return m.Header.Get("Nats-Service-Error-Code") + m.Header.Get("Nats-Service-Error") + string(m.Data)
}

// paid adds up what the ledger of the payments holds as authorized, in cents, and checks that nothing was authorized twice.
func (s *exampleServices) paid() int {
	s.t.Helper()
	text, err := os.ReadFile(s.ledger)
	if err != nil {
		s.t.Fatal(err)
	}
	performed, cents := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var entry struct {
			Order   string                     `json:"order"`
			Answers map[string]json.RawMessage `json:"answers"`
			Payment *struct {
				State string `json:"state"`
				Cents int    `json:"cents"`
			} `json:"payment"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			s.t.Fatalf("ledger: %v: %s", err, lines.Text())
		}
		if _, ok := entry.Answers[entry.Order+"/authorize_payment/do"]; ok && entry.Payment != nil && entry.Payment.State != "void" {
			performed[entry.Order]++
		}
		if entry.Payment != nil {
			cents[entry.Order] = 0
			if entry.Payment.State == "authorized" {
				cents[entry.Order] = entry.Payment.Cents
			}
		}
	}
	sum := 0
	for id, n := range performed {
		if n != 1 {
			s.t.Errorf("the payment of order %s was authorized %d times", id, n)
		}
		sum += cents[id]
	}
	return sum
}

// TestServicesInOtherLanguages: the services of deploy/examples, in Python over HTTP and in JavaScript over NATS, run orders
// to every kind of end while one is killed and the other restarted.
func TestServicesInOtherLanguages(t *testing.T) {
	t.Parallel()
	s := startExamples(t)
	if code, body := s.fetch(http.MethodGet, "/health", "", 0); code != http.StatusOK {
		t.Errorf("stock: %d %s", code, body)
	}
	if got := s.ask("example.payments.health", "", 0); !strings.Contains(got, "ok") {
		t.Errorf("payments: %s", got)
	}
	var batch strings.Builder
	for i := range 40 {
		batch.WriteString(orderOf(fmt.Sprintf("good-%d", i), "c-7", "sku-1", 2))
	}
	for i := range 5 {
		batch.WriteString(orderOf(fmt.Sprintf("sold-out-%d", i), "c-7", "sold-out", 1))
		batch.WriteString(orderOf(fmt.Sprintf("declined-%d", i), "c-declined", "sku-1", 3))
		batch.WriteString(orderOf(fmt.Sprintf("large-%d", i), "c-7", "sku-2", 101))
	}
	var killing sync.WaitGroup
	killing.Go(func() {
		// After some calls of each service, by their own records.
		eventually(t, "the first reservations", func() (bool, any) { return strings.Count(s.stock.out.String(), `"call"`) > 10, s.stock.out })
		_ = s.stock.stop(syscall.SIGKILL)
		s.stock.start()
		eventually(t, "the first payments", func() (bool, any) { return strings.Count(s.payments.out.String(), `"call"`) > 10, s.payments.out })
		if err := s.payments.stop(syscall.SIGTERM); err != nil {
			t.Errorf("payments stopped on SIGTERM with %v", err)
		}
		s.payments.start()
	})
	p := s.publish(t, batch.String(), "--wait", "--timeout", "5m", "-o", "json")
	killing.Wait()
	sum := decode[summary](t, p.out)
	if p.code != exitOK || sum.Ended["completed"] != 45 || sum.Ended["rejected"] != 10 {
		t.Fatalf("%s%s\nwant 45 completed and 10 rejected", p.out, p.err)
	}

	// A large payment of a slow bank, given up while it waits: both steps are undone.
	s.publish(t, orderOf("slow", "c-slow", "sku-2", 200))
	s.waitStatus(t, "slow", "parked")
	ok(t, s.environ, "cancel", "slow")
	if v := s.waitStatus(t, "slow", "cancelled"); strings.Count(v.kinds(), "step_undone") != 2 {
		t.Errorf("got\n%s\nwant both steps undone", v.summaries())
	}

	if got, want := s.left("sku-1"), 1000-40*2; got != want {
		t.Errorf("%d of sku-1 are left, want %d", got, want)
	}
	if got, want := s.left("sku-2"), 1000-5*101; got != want {
		t.Errorf("%d of sku-2 are left, want %d", got, want)
	}
	if got, want := s.paid(), (40*20+5*1010)*100; got != want {
		t.Errorf("%d cents are authorized, want %d", got, want)
	}
	if out := ok(t, s.environ, "verify", "-o", "json"); !decode[struct{ Balanced bool }](t, out).Balanced {
		t.Errorf("verify:\n%s", out)
	}
	if err := s.stock.stop(syscall.SIGTERM); err != nil {
		t.Errorf("stock stopped on SIGTERM with %v", err)
	}
}

// TestExamplesFollowTheRules: each service is called directly to check the rules about keys, undos and fencing tokens.
func TestExamplesFollowTheRules(t *testing.T) {
	t.Parallel()
	s := startExamples(t)
	request := func(order, step, direction string) string {
		return fmt.Sprintf(`{"order_id":%[1]q,"step":%[2]q,"direction":%[3]q,"idempotency_key":"%[1]s/%[2]s/%[3]s",`+
			`"order":{"order_id":%[1]q,"customer_id":"c-7","items":[{"product_id":"sku-1","quantity":2,"unit_price":10}],"total_amount":20}}`,
			order, step, direction)
	}
	for name, call := range map[string]func(order, direction string, token int) string{
		"stock": func(order, direction string, token int) string {
			_, body := s.fetch(http.MethodPost, map[string]string{"do": "/reserve", "undo": "/release"}[direction], request(order, "reserve_stock", direction), token)
			return body
		},
		"payments": func(order, direction string, token int) string {
			subject := map[string]string{"do": "example.payments.authorize", "undo": "example.payments.void"}[direction]
			return s.ask(subject, request(order, "authorize_payment", direction), token)
		},
	} {
		for _, c := range []struct {
			what, order, direction string
			token                  int
			want                   string
		}{
			{"a call", "o-1", "do", 10, `"done"`},
			{"the same again", "o-1", "do", 11, `"done"`},
			{"the same, late, with an old fencing token", "o-1", "do", 9, `"done"`},
			{"an undo with an old fencing token", "o-1", "undo", 9, `"retry"`},
			{"an undo", "o-1", "undo", 12, `"done"`},
			{"the undo again", "o-1", "undo", 12, `"done"`},
			{"a call after its undo", "o-1", "do", 13, `"undone"`},
			{"an undo without a do", "o-2", "undo", 10, `"done"`},
			{"a call after an undo without a do", "o-2", "do", 10, `"undone"`},
			{"a call that is not undone", "o-3", "do", 10, `"done"`},
			{"an invalid request", "", "do", 0, "bad request: "},
		} {
			if got := call(c.order, c.direction, c.token); !strings.Contains(got, c.want) {
				t.Errorf("%s: %s is answered with %s, want %s", name, c.what, got, c.want)
			}
		}
	}
	for range 2 { // before and after both are killed
		if got := s.left("sku-1"); got != 998 {
			t.Errorf("%d of sku-1 are left: want 998, two for o-3", got)
		}
		if got := s.paid(); got != 2000 {
			t.Errorf("%d cents are authorized: want 2000 for o-3", got)
		}
		for _, p := range []*program{s.stock, s.payments} {
			_ = p.stop(syscall.SIGKILL)
			p.start()
		}
	}
	if got := s.ask("example.payments.authorize", request("o-1", "authorize_payment", "do"), 14); !strings.Contains(got, `"undone"`) {
		t.Errorf("payments performed a do after its undo: %s", got)
	}
	if code, body := s.fetch(http.MethodPost, "/reserve", request("o-1", "reserve_stock", "do"), 14); code != http.StatusConflict || !strings.Contains(body, `"undone"`) {
		t.Errorf("stock performed a do after its undo: %d %s", code, body)
	}
}

// TestExamplesKeepTheRules: check-service finds no fault in the example services.
func TestExamplesKeepTheRules(t *testing.T) {
	t.Parallel()
	s := startExamples(t)
	for _, targets := range [][2]string{
		{s.stockURL + "/reserve", s.stockURL + "/release"}, {"nats://example.payments.authorize", "nats://example.payments.void"},
	} {
		p := command(t, s.environ, "", "check-service", "--do", targets[0], "--undo", targets[1], "--yes", "--timeout", natstest.Patience.String())
		if p.code != exitOK || p.err != "" || !strings.Contains(p.out, "\n11 checks: 11 ok, 0 failed, 0 unknown; ") || strings.Contains(p.out, "may remain") {
			t.Errorf("%s: exit code %d\n%s%s", targets[0], p.code, p.out, p.err)
		}
	}
	if got := s.left("sku-check"); got != 1000 {
		t.Errorf("%d of sku-check are left: want 1000, all released", got)
	}
	if got := s.paid(); got != 0 {
		t.Errorf("%d cents are authorized: want 0, all voided", got)
	}
}
