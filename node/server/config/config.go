package config

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v10"
)

// Durability is when the embedded server acknowledges.
type Durability string

// The durabilities.
const (
	// Strict: after the message is synced to disk.
	Strict Durability = "strict"
	// Relaxed: before; it is synced within 100 ms.
	Relaxed Durability = "relaxed"
)

// IndexMode is whether a node keeps an index of orders.
type IndexMode string

// The index modes.
const (
	IndexOn  IndexMode = "on"
	IndexOff IndexMode = "off"
	// IndexRebuild: on, and rebuilt at the start.
	IndexRebuild IndexMode = "rebuild"
)

// LogFormat is the format of log lines.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Config is the environment of a node. Its tags: env and envDefault are name and default; min and max (inclusive), oneof or form
// define the valid values; shown describes a computed default; secret marks what must not be printed.
type Config struct {
	NATSURL   string `env:"NATS_URL" form:"urls" secret:"userinfo" shown:"empty" help:"NATS servers, separated by commas; empty: embedded server"`
	NATSCreds string `env:"NATS_CREDS" secret:"all" shown:"empty" help:"credentials file (JWT and seed) for NATS"`
	NATSNKey  string `env:"NATS_NKEY" secret:"all" shown:"empty" help:"user nkey for NATS: a seed file, or the seed itself"`
	// NATSInboxPrefix is that of every reply subject: a user's permissions can name it.
	NATSInboxPrefix string `env:"NATS_INBOX_PREFIX" envDefault:"_INBOX" form:"subject" help:"prefix of the subjects on which the node takes replies"`
	NATSJSDomain    string `env:"NATS_JS_DOMAIN" form:"token" shown:"empty" help:"JetStream domain of the streams; empty: that of the servers"`
	NATSJSAPIPrefix string `env:"NATS_JS_API_PREFIX" form:"prefix" shown:"empty" help:"subject prefix of the JetStream API of the account with the streams, where it is imported under another one than $JS.API"`

	NATSTLSCA   string `env:"NATS_TLS_CA" shown:"empty" help:"file of the certificate authorities of the NATS servers"`
	NATSTLSCert string `env:"NATS_TLS_CERT" shown:"empty" help:"client certificate file for NATS"`
	NATSTLSKey  string `env:"NATS_TLS_KEY" shown:"empty" help:"key file of the client certificate"`

	DataDir  string `env:"ORDERLY_DATA_DIR" envDefault:"data" help:"directory of the embedded server's store and of the index"`
	MaxStore int    `env:"ORDERLY_MAX_STORE" envDefault:"0" min:"0" max:"1073741824" unit:"MiB; 0: nine tenths of the available disk" help:"most bytes of the embedded server's store; a quarter is for the inbox"`
	NATSAddr string `env:"ORDERLY_NATS_ADDR" envDefault:"127.0.0.1:4222" form:"address" help:"where the embedded server listens (port 0: any free one)"`
	NodeID   string `env:"ORDERLY_NODE_ID" form:"name" shown:"host name and a random suffix" help:"the node's name in journal and metrics"`
	HTTPAddr string `env:"ORDERLY_HTTP_ADDR" envDefault:"127.0.0.1:8080" form:"address" help:"API, health, metrics (port 0: any free one); beyond the loopback only with ORDERLY_HTTP_INSECURE=true"`
	// HTTPInsecure is the user's promise that something else authenticates clients.
	HTTPInsecure  bool   `env:"ORDERLY_HTTP_INSECURE" envDefault:"false" oneof:"true false" help:"true: ORDERLY_HTTP_ADDR may be beyond the loopback, because only an authenticating proxy, or nobody else, can reach it"`
	HTTPHostNames string `env:"ORDERLY_HTTP_HOST_NAMES" form:"hosts" shown:"empty" help:"names under which clients reach the node over HTTP besides localhost and its addresses, separated by commas"`
	PlanFile      string `env:"ORDERLY_PLAN" shown:"built-in order plan" help:"path of a plan file (YAML or JSON of the Plan message)"`
	// DownstreamsFile names files of secrets; it holds none.
	DownstreamsFile string `env:"ORDERLY_DOWNSTREAMS" shown:"empty" help:"path of the file of downstreams (YAML): where the services that plans name are, and their credentials"`

	MaxInFlight   int           `env:"ORDERLY_MAX_IN_FLIGHT" envDefault:"4096" min:"2" max:"20000" unit:"orders" help:"orders in memory on this node, at most 1024 for each second of ORDERLY_ACK_WAIT"`
	AckWait       time.Duration `env:"ORDERLY_ACK_WAIT" envDefault:"5s" min:"100ms" max:"1h" help:"how long a delivery may go without acknowledgement or progress"`
	Hold          time.Duration `env:"ORDERLY_HOLD" envDefault:"10s" min:"10ms" max:"5m" help:"longest wait in memory before an order is parked"`
	DrainTimeout  time.Duration `env:"ORDERLY_DRAIN_TIMEOUT" envDefault:"20s" min:"100ms" max:"1h" help:"longest graceful stop"`
	UnknownAge    time.Duration `env:"ORDERLY_UNKNOWN_AGE" envDefault:"1m" min:"1s" max:"720h" help:"how long a message about an order that does not exist is kept before it becomes a dead letter"`
	Replicas      int           `env:"ORDERLY_REPLICAS" envDefault:"1" oneof:"1 3 5" help:"stream replicas (3 in a cluster)"`
	Durability    Durability    `env:"ORDERLY_DURABILITY" envDefault:"strict" oneof:"strict relaxed" help:"when the embedded server acknowledges: after the sync to disk, or up to 100 ms before"`
	Retention     time.Duration `env:"ORDERLY_RETENTION" envDefault:"720h" min:"1m" max:"87600h" help:"how long ended orders' events are kept"`
	DeadRetention time.Duration `env:"ORDERLY_DEAD_RETENTION" envDefault:"2160h" min:"1m" max:"87600h" help:"how long dead letters are kept"`
	Index         IndexMode     `env:"ORDERLY_INDEX" envDefault:"on" oneof:"on off rebuild" help:"index of orders for \"orderly list\", kept in ORDERLY_DATA_DIR; rebuild: rebuilt from the journal at the start"`

	LogLevel  slog.Level `env:"ORDERLY_LOG_LEVEL" envDefault:"info" oneof:"debug info warn error" help:"minimum severity of log lines"`
	LogFormat LogFormat  `env:"ORDERLY_LOG_FORMAT" oneof:"text json" shown:"text on a terminal, else json" help:"format of log lines"`

	DemoOrders     int           `env:"ORDERLY_DEMO_ORDERS" envDefault:"20" min:"0" max:"100000" unit:"orders" help:"sample orders published under --demo"`
	DemoLatency    time.Duration `env:"ORDERLY_DEMO_LATENCY" envDefault:"20ms" min:"0s" max:"1m" help:"mean latency of a demo service"`
	DemoFailRate   float64       `env:"ORDERLY_DEMO_FAIL_RATE" envDefault:"0.02" min:"0" max:"1" unit:"share of calls" help:"how often a demo service fails temporarily"`
	DemoRejectRate float64       `env:"ORDERLY_DEMO_REJECT_RATE" envDefault:"0.02" min:"0" max:"1" unit:"share of orders" help:"how often a demo service refuses"`
}

// Load reads environ ("NAME=value", as from os.Environ). An empty value counts as absent. The error joins one error per problem,
// which names the variable, its value unless it is secret, and the valid values.
func Load(environ []string) (Config, error) {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			vars[name] = value
		}
	}

	var c Config
	problems := unknownVariables(vars)
	unparsed := map[string]bool{}
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		var all env.AggregateError
		if !errors.As(err, &all) {
			return Config{}, fmt.Errorf("read the environment: %w", err)
		}
		for _, each := range all.Errors {
			var invalid env.ParseError
			if !errors.As(each, &invalid) {
				return Config{}, fmt.Errorf("read the environment: %w", each)
			}
			f, _ := reflect.TypeFor[Config]().FieldByName(invalid.Name)
			unparsed[f.Name] = true
			problems = append(problems, invalidValue(f, vars[f.Tag.Get("env")]))
		}
	}

	if c.NodeID == "" {
		c.NodeID = newNodeID()
	}
	if c.LogFormat == "" {
		c.LogFormat = defaultLogFormat()
	}
	problems = append(problems, c.problems(unparsed)...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// Validate checks every value and their combinations. Its errors are like those of Load.
func (c Config) Validate() error { return errors.Join(c.problems(nil)...) }

// HTTPHostList are the names in HTTPHostNames.
func (c Config) HTTPHostList() []string {
	var list []string
	for host := range strings.SplitSeq(c.HTTPHostNames, ",") {
		if host = strings.TrimSpace(host); host != "" {
			list = append(list, host)
		}
	}
	return list
}

// Embedded reports whether the node embeds its NATS server.
func (c Config) Embedded() bool { return c.NATSURL == "" }
