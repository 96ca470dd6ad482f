package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/timeline"
)

// defaultURL is where client commands connect if NATS_URL is not set.
const defaultURL = nats.DefaultURL

// connection is a client command's connection to NATS.
type connection struct {
	nc *nats.Conn
	js jetstream.JetStream
	// url of the servers, secrets redacted.
	url string
}

// withConnection runs f on a connection.
func withConnection(ctx context.Context, t terminal, f func(*connection) error) error {
	c, err := dial(t)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	return c.explain(ctx, f(c))
}

// withOrder runs f with a client, for a command about one order. An error about an unknown order says where to look for it.
func withOrder(ctx context.Context, t terminal, id messages.OrderID, f func(*client.Client) error) error {
	return withConnection(ctx, t, func(c *connection) error {
		orders, err := client.NewOn(c.js)
		if err != nil {
			return err
		}
		defer orders.Close()
		err = f(orders)
		var pending *timeline.PendingMessages
		switch {
		case errors.As(err, &pending):
			return fmt.Errorf("no order %s yet: %w", id, pending)
		case !errors.Is(err, client.ErrUnknownOrder):
			return err
		}
		return fmt.Errorf("no order %s: no order with this id was accepted; look for it with \"orderly dead list --order %[1]s\"", id)
	})
}

// dial connects to NATS as the environment says. The caller closes nc.
func dial(t terminal) (*connection, error) {
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
	c := &connection{url: config.RedactURLs(url)}
	if c.nc, err = nats.Connect(url, append(opts, nats.Name("orderly client"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...); err != nil {
		if refused := config.Refusal(cfg, err); refused != nil {
			return nil, refused
		}
		return nil, fmt.Errorf("cannot reach NATS at %s: %w; start a node with \"orderly run\", or set NATS_URL", c.url, err)
	}
	if c.js, err = config.JetStream(cfg, c.nc); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("use JetStream at %s: %w", c.url, err)
	}
	return c, nil
}

// explain replaces an error whose cause is a server without streams or without JetStream. It asks the server only after a
// failure: a client may have no permission to ask.
func (c *connection) explain(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errSilent) || errors.Is(err, errUsage) {
		return err
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return fmt.Errorf("NATS at %s is unreachable: not sent", c.url)
	}
	if v, ok := natsclient.ParseViolation(c.nc.LastError()); ok {
		return fmt.Errorf(`%w: NATS does not permit %s to this user: the command needs another role, see "orderly permissions --help"`, err, v)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch _, found := c.js.Stream(ctx, messages.StreamOrders); {
	case errors.Is(found, jetstream.ErrStreamNotFound):
		return fmt.Errorf("no node has ever started on NATS at %s: start one with \"orderly run\", or set NATS_URL", c.url)
	case errors.Is(found, jetstream.ErrJetStreamNotEnabled), errors.Is(found, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("the NATS server at %s has no JetStream: enable it, or set NATS_URL", c.url)
	}
	return err
}
