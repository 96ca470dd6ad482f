package main

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/config"
)

// defaultURL is where client commands look for NATS when NATS_URL is not set.
const defaultURL = nats.DefaultURL

// client is a client command's connection.
type client struct {
	cfg config.Config
	nc  *nats.Conn
	js  jetstream.JetStream
}

// dial connects to NATS as the environment says. The caller closes nc.
func dial(t terminal) (*client, error) {
	cfg, err := config.Load(t.environ)
	if err != nil {
		return nil, err
	}
	url := cfg.NATSURL
	if url == "" {
		url = defaultURL
	}
	opts, err := config.NATSOptions(cfg)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, append(opts, nats.Name("orderly client"))...)
	if err != nil {
		return nil, fmt.Errorf("cannot reach NATS at %s: %w; start a node with \"orderly run\", or set NATS_URL", config.RedactURLs(url), err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("use JetStream at %s: %w", config.RedactURLs(url), err)
	}
	return &client{cfg: cfg, nc: nc, js: js}, nil
}
