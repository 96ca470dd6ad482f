package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/cli/orderjson"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/servicecheck"
)

// serviceCalls are the flags of commands that call a service.
type serviceCalls struct {
	t terminal
	// order is the path of a file with an order, downstreams that of the file of downstreams.
	order, downstreams string
	yes                bool
}

func (s *serviceCalls) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.order, "order", "", "file with the order of the calls, as JSON; - is standard input")
	cmd.Flags().BoolVar(&s.yes, "yes", false, "call the service without asking")
}

func (s *serviceCalls) addDownstreamsFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.downstreams, "downstreams", "", "file of downstreams (default: that of ORDERLY_DOWNSTREAMS)")
}

// directory reads the file of downstreams; nil without one.
func (s *serviceCalls) directory(cfg config.Config) (*directory.Directory, error) {
	name, path := "--downstreams", s.downstreams
	if path == "" {
		name, path = "ORDERLY_DOWNSTREAMS", cfg.DownstreamsFile
	}
	if path == "" {
		return nil, nil //nolint:nilnil // a nil Directory has no entries
	}
	d, err := directory.Load(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// readOrder reads the order of the calls; nil without a file.
func (s *serviceCalls) readOrder() (*messages.OrderCreated, error) {
	if s.order == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	in := s.t.in
	if s.order != "-" {
		f, err := os.Open(s.order)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var all []orderjson.Order
	err := orderjson.Read(in, func(o orderjson.Order) bool {
		all = append(all, o)
		return len(all) < 2
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read order from %s: %w", s.order, err)
	case len(all) != 1:
		return nil, fmt.Errorf("%s: want one order", s.order)
	case all[0].Err != nil:
		return nil, fmt.Errorf("%s:%d: %w", s.order, all[0].Line, all[0].Err)
	}
	messages.Normalize(all[0].Order)
	return all[0].Order, nil
}

// confirm asks before a service is called. Without a terminal only --yes confirms.
func (s *serviceCalls) confirm(effect string) error {
	if s.yes {
		return nil
	}
	in, isFile := s.t.in.(*os.File)
	if isFile {
		info, err := in.Stat()
		isFile = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !isFile || s.order == "-" {
		return usage(fmt.Errorf("%s: add --yes if that is what you want", effect))
	}
	fmt.Fprintf(s.t.err, "%s. Continue? [y/N] ", effect)
	if !confirmed(in) {
		return errors.New("nothing was called")
	}
	return nil
}

// confirmed reads a line and reports whether it is a yes.
func confirmed(in io.Reader) bool {
	answer, _ := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// withCaller runs f with a caller, which has a connection to NATS if a target needs it.
func (s *serviceCalls) withCaller(ctx context.Context, d *directory.Directory, targets []string, f func(*servicecheck.Caller) error) error {
	call := func(nc *nats.Conn) error {
		caller := servicecheck.NewCaller(nc, gateway.Config{Directory: d})
		defer caller.Close()
		return f(caller)
	}
	for _, target := range targets {
		if address, _, err := d.Resolve(target); err == nil && strings.HasPrefix(address, "nats:") {
			return withConnection(ctx, s.t, func(c *connection) error { return call(c.nc) })
		}
	}
	return call(nil)
}
