package config_test

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/config"
)

func load(t *testing.T, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(environ)
	if err != nil {
		t.Fatalf("load %v: %v", environ, err)
	}
	return c
}

func refuse(t *testing.T, environ ...string) string {
	t.Helper()
	c, err := config.Load(environ)
	if err == nil {
		t.Fatalf("load %v: no error", environ)
	}
	if !reflect.DeepEqual(c, config.Config{}) {
		t.Errorf("load %v: gave a configuration beside the error", environ)
	}
	return err.Error()
}

func TestDefaults(t *testing.T) {
	c := load(t, "HOME=/root", "NATS_SERVICE_HOST=10.0.0.1")
	want := config.Config{
		NATSInboxPrefix: "_INBOX", DataDir: "data", NATSAddr: "127.0.0.1:4222", HTTPAddr: "127.0.0.1:8080", NodeID: c.NodeID,
		MaxInFlight: 4096, AckWait: 5 * time.Second, Hold: 10 * time.Second, DrainTimeout: 20 * time.Second,
		UnknownAge: time.Minute, Replicas: 1, Durability: config.Strict, Retention: 720 * time.Hour, DeadRetention: 2160 * time.Hour, Index: config.IndexOn,
		LogLevel: slog.LevelInfo, LogFormat: c.LogFormat,
		DemoOrders: 20, DemoLatency: 20 * time.Millisecond, DemoFailRate: 0.02, DemoRejectRate: 0.02,
	}
	if c != want {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if !c.Embedded() {
		t.Error("no NATS_URL, and not embedded")
	}
	if c.LogFormat != config.LogText && c.LogFormat != config.LogJSON {
		t.Errorf("log format %q", c.LogFormat)
	}
	if other := load(t); other.NodeID == c.NodeID || len(c.NodeID) > 64 {
		t.Errorf("node ids %q and %q", c.NodeID, other.NodeID)
	}
}

// Every variable is read into its field.
func TestEveryVariable(t *testing.T) {
	got := load(t, "ORDERLY_MAX_STORE=300", "NATS_URL=nats://a:4222, tls://b", "NATS_CREDS=/c", "NATS_INBOX_PREFIX=IN.node", "NATS_JS_DOMAIN=hub", "NATS_TLS_CA=ca", "NATS_TLS_CERT=cert", "NATS_TLS_KEY=key",
		"ORDERLY_DATA_DIR=/d", "ORDERLY_NATS_ADDR=[::1]:0", "ORDERLY_NODE_ID=n-1", "ORDERLY_HTTP_ADDR=:9090", "ORDERLY_HTTP_INSECURE=true", "ORDERLY_HTTP_HOST_NAMES=a.example, ::1", "ORDERLY_PLAN=p.yaml", "ORDERLY_DOWNSTREAMS=d.yaml",
		"ORDERLY_MAX_IN_FLIGHT=20000", "ORDERLY_ACK_WAIT=100ms", "ORDERLY_HOLD=1s", "ORDERLY_DRAIN_TIMEOUT=1m", "ORDERLY_UNKNOWN_AGE=2m",
		"ORDERLY_REPLICAS=3", "ORDERLY_DURABILITY=relaxed", "ORDERLY_RETENTION=1h", "ORDERLY_DEAD_RETENTION=2h", "ORDERLY_INDEX=off", "ORDERLY_LOG_LEVEL=warn", "ORDERLY_LOG_FORMAT=json",
		"ORDERLY_DEMO_ORDERS=0", "ORDERLY_DEMO_LATENCY=0s", "ORDERLY_DEMO_FAIL_RATE=0.5", "ORDERLY_DEMO_REJECT_RATE=1")
	want := config.Config{
		NATSURL: "nats://a:4222, tls://b", NATSCreds: "/c", NATSInboxPrefix: "IN.node", NATSJSDomain: "hub", NATSTLSCA: "ca", NATSTLSCert: "cert", NATSTLSKey: "key",
		DataDir: "/d", MaxStore: 300, NATSAddr: "[::1]:0", NodeID: "n-1", HTTPAddr: ":9090", HTTPInsecure: true, HTTPHostNames: "a.example, ::1", PlanFile: "p.yaml", DownstreamsFile: "d.yaml",
		MaxInFlight: 20000, AckWait: 100 * time.Millisecond, Hold: time.Second, DrainTimeout: time.Minute, UnknownAge: 2 * time.Minute,
		Replicas: 3, Durability: config.Relaxed, Retention: time.Hour, DeadRetention: 2 * time.Hour, Index: config.IndexOff, LogLevel: slog.LevelWarn, LogFormat: config.LogJSON,
		DemoFailRate: 0.5, DemoRejectRate: 1,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c := load(t, "NATS_URL=a", "NATS_NKEY=/seed"); c.NATSNKey != "/seed" {
		t.Errorf("nkey %q", c.NATSNKey)
	}
	if c := load(t, "NATS_URL=a", "NATS_JS_API_PREFIX=orders.API"); c.NATSJSAPIPrefix != "orders.API" {
		t.Errorf("API prefix %q", c.NATSJSAPIPrefix)
	}
	if c := load(t, "ORDERLY_ACK_WAIT=", "ORDERLY_NODE_ID="); c.AckWait != 5*time.Second || c.NodeID == "" {
		t.Errorf("empty values are not defaults: %+v", c)
	}
}

func TestWrongValues(t *testing.T) {
	for _, wrong := range []string{
		"NATS_URL=http://a:1", "NATS_URL=nats://", "NATS_URL=a:70000", "NATS_URL=nats://a:4222,,",
		"NATS_INBOX_PREFIX=a.*", "NATS_INBOX_PREFIX=a.", "NATS_INBOX_PREFIX=a b",
		"ORDERLY_NATS_ADDR=4222", "ORDERLY_NATS_ADDR=localhost", "ORDERLY_HTTP_ADDR=a:b", "ORDERLY_HTTP_ADDR=http://a:80", "ORDERLY_HTTP_ADDR=a:65536",
		"ORDERLY_HTTP_INSECURE=yes", "ORDERLY_HTTP_HOST_NAMES=a:80", "ORDERLY_HTTP_HOST_NAMES=http://a", "ORDERLY_HTTP_HOST_NAMES=a,,b", "ORDERLY_HTTP_HOST_NAMES=*",
		"ORDERLY_NODE_ID=a b", "ORDERLY_NODE_ID=" + strings.Repeat("x", 65),
		"ORDERLY_MAX_IN_FLIGHT=0", "ORDERLY_MAX_IN_FLIGHT=20001", "ORDERLY_MAX_IN_FLIGHT=many", "ORDERLY_MAX_IN_FLIGHT=1.5",
		"ORDERLY_ACK_WAIT=99ms", "ORDERLY_ACK_WAIT=5", "ORDERLY_ACK_WAIT=-5s", "ORDERLY_ACK_WAIT=2h",
		"ORDERLY_HOLD=0s", "ORDERLY_HOLD=6m", "ORDERLY_DRAIN_TIMEOUT=0s", "ORDERLY_UNKNOWN_AGE=1ms", "ORDERLY_RETENTION=1s", "ORDERLY_DEAD_RETENTION=1s",
		"ORDERLY_REPLICAS=2", "ORDERLY_REPLICAS=-1", "ORDERLY_DURABILITY=Strict", "ORDERLY_DURABILITY=none",
		"ORDERLY_LOG_LEVEL=loud", "ORDERLY_LOG_LEVEL=info+1", "ORDERLY_LOG_FORMAT=xml",
		"ORDERLY_DEMO_FAIL_RATE=1.1", "ORDERLY_DEMO_REJECT_RATE=-0.1", "ORDERLY_DEMO_FAIL_RATE=NaN", "ORDERLY_DEMO_ORDERS=-1", "ORDERLY_DEMO_LATENCY=2m",
	} {
		name, value, _ := strings.Cut(wrong, "=")
		got := refuse(t, wrong)
		if !strings.Contains(got, name) || !strings.Contains(got, value) || !strings.Contains(got, "want ") {
			t.Errorf("%s: the message does not name variable, value and what is allowed: %s", wrong, got)
		}
		if strings.Contains(got, "\n") {
			t.Errorf("%s: more than one line: %s", wrong, got)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	got := refuse(t, "ORDERLY_ACK_WAIT=5", "ORDERLY_REPLICAS=2", "ORDERLY_HTTP_ADDR=x", "ORDERLY_LOG_LEVELL=debug", "ORDERLY_MAX_IN_FLIGHT=x")
	if lines := strings.Split(got, "\n"); len(lines) != 5 {
		t.Errorf("want 5 lines, got %d:\n%s", len(lines), got)
	}
}

func TestUnknownVariable(t *testing.T) {
	for wrong, meant := range map[string]string{
		"ORDERLY_ACKWAIT":         "did you mean ORDERLY_ACK_WAIT?",
		"ORDERLY_DURABLITY":       "did you mean ORDERLY_DURABILITY?",
		"ORDERLY_LOGLEVEL":        "did you mean ORDERLY_LOG_LEVEL?",
		"ORDERLY_HTTPADDR":        "did you mean ORDERLY_HTTP_ADDR?",
		"ORDERLY_HTTP_PORT":       "remove it, or see `orderly config`",
		"ORDERLY_FOO":             "remove it, or see `orderly config`",
		"ORDERLY_QUANTUM_ENTROPY": "orderly config",
	} {
		got := refuse(t, wrong+"=s3cret")
		if !strings.Contains(got, wrong) || !strings.Contains(got, meant) {
			t.Errorf("%s: %s", wrong, got)
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("%s: shows the value: %s", wrong, got)
		}
	}
}

// Kubernetes sets such variables in every pod of a namespace with a service named orderly or orderly-http.
func TestInjectedVariables(t *testing.T) {
	load(t, "ORDERLY_SERVICE_HOST=10.0.0.1", "ORDERLY_SERVICE_PORT=8080", "ORDERLY_SERVICE_PORT_HTTP=8080", "ORDERLY_PORT=tcp://10.0.0.1:8080",
		"ORDERLY_PORT_8080_TCP=tcp://10.0.0.1:8080", "ORDERLY_PORT_8080_TCP_PROTO=tcp", "ORDERLY_PORT_8080_TCP_PORT=8080",
		"ORDERLY_PORT_8080_TCP_ADDR=10.0.0.1", "ORDERLY_HTTP_SERVICE_HOST=10.0.0.1", "ORDERLY_HTTP_PORT=tcp://10.0.0.1:80")
}

func TestConflicts(t *testing.T) {
	for _, environ := range [][]string{
		{"NATS_URL=a", "NATS_TLS_CERT=c"},
		{"NATS_URL=a", "NATS_TLS_KEY=k"},
		{"NATS_URL=a", "NATS_CREDS=c", "NATS_NKEY=k"},
		{"NATS_URL=a", "NATS_JS_DOMAIN=a.b"}, {"NATS_URL=a", "NATS_JS_DOMAIN=>"}, {"NATS_URL=a", "NATS_JS_API_PREFIX=$JS..API"},
		{"NATS_URL=a", "NATS_JS_DOMAIN=d", "NATS_JS_API_PREFIX=p"}, {"NATS_JS_DOMAIN=d"}, {"NATS_JS_API_PREFIX=p"},
		{"NATS_CREDS=c"}, {"NATS_NKEY=c"}, {"NATS_TLS_CA=c"},
		{"ORDERLY_REPLICAS=3"},
	} {
		got := refuse(t, environ...)
		name, _, _ := strings.Cut(environ[len(environ)-1], "=")
		if !strings.Contains(got, name) {
			t.Errorf("%v: %s", environ, got)
		}
	}
}

// HTTP has no authentication: listening beyond the loopback needs a promise.
func TestHTTPBeyondTheLoopback(t *testing.T) {
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "node-1.example:80", "localhost.example:80"} {
		got := refuse(t, "ORDERLY_HTTP_ADDR="+addr)
		if !strings.Contains(got, addr) || !strings.Contains(got, "loopback") || !strings.Contains(got, "ORDERLY_HTTP_INSECURE=true") || strings.Contains(got, "\n") {
			t.Errorf("%s: %s", addr, got)
		}
		refuse(t, "ORDERLY_HTTP_ADDR="+addr, "ORDERLY_HTTP_INSECURE=false")
		load(t, "ORDERLY_HTTP_ADDR="+addr, "ORDERLY_HTTP_INSECURE=true")
	}
	for _, addr := range []string{"127.0.0.1:0", "127.1.2.3:8080", "localhost:8080", "[::1]:8080", "[::ffff:127.0.0.1]:80"} {
		load(t, "ORDERLY_HTTP_ADDR="+addr)
	}
}

func TestHTTPHostList(t *testing.T) {
	if got := load(t).HTTPHostList(); got != nil {
		t.Errorf("got %q", got)
	}
	if got := load(t, "ORDERLY_HTTP_HOST_NAMES=a.example, ::1").HTTPHostList(); !slices.Equal(got, []string{"a.example", "::1"}) {
		t.Errorf("got %q", got)
	}
}

func TestValidateAfterChange(t *testing.T) {
	c := load(t)
	c.Durability = "sometimes"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `ORDERLY_DURABILITY="sometimes"`) {
		t.Errorf("got %v", err)
	}
	if err := (config.Config{}).Validate(); err == nil {
		t.Error("the zero configuration is valid")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("NATS_URL=nats://u:p@h", "ORDERLY_HOLD=1s")
	f.Add("=", "ORDERLY_=")
	f.Fuzz(func(t *testing.T, a, b string) {
		c, err := config.Load([]string{a, b})
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("loaded and not valid: %v", err)
			}
		}
	})
}
