package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/server/config"
)

// healthTimeout bounds the request to the node.
const healthTimeout = 3 * time.Second

func newHealth(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Check the health of the node at ORDERLY_HTTP_ADDR; exit 1 if it is not healthy",
		Long:  "Check the health of the node at ORDERLY_HTTP_ADDR, for container health checks: exit 0 while NATS is connected\nand the node's work succeeds, else 1.",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(t.environ)
			if err != nil {
				return err
			}
			return checkHealth(cmd.Context(), t, cfg.HTTPAddr)
		},
	}
}

func checkHealth(ctx context.Context, t terminal, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("ORDERLY_HTTP_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no response from a node at %s: %w", addr, err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("read the response of %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the node at %s is not healthy: %s: %s", addr, resp.Status, bytes.TrimSpace(body))
	}
	fmt.Fprintf(t.out, "%s", body)
	return nil
}
