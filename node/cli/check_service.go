package cli

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/servicecheck"
)

func newCheckService(t terminal) *cobra.Command {
	calls := serviceCalls{t: t}
	cfg := servicecheck.Config{}
	encoding := "json"
	cmd := &cobra.Command{
		Use:   "check-service --do URL [--undo URL]",
		Short: "Call a service for real and report whether it keeps its side",
		Long: `Call a service for real, over NATS or HTTP as the target of a plan, and report whether it keeps its side: idempotency keys
remembered and bound to the body, undos that are final and can be repeated, stale calls refused, unknown fields ignored.

Every line is a check: its verdict (ok, fail or unknown), what was tried and what came; unless it is ok, also why it
matters and what to do. The exit code is 1 if a check fails. The check sees answers only: an effect that happens twice
and is answered once stays hidden.

The service performs the step for a few test orders, whose ids begin with check-. They are undone if there is an undo. Use
a test system, and with --order an order that the service accepts.`,
		Example: "  orderly check-service --do nats://inventory.reserve --undo nats://inventory.release\n" +
			"  orderly check-service --do http://127.0.0.1:8091/reserve --undo http://127.0.0.1:8091/release --order order.json --yes",
		Args: arguments(),
	}
	cmd.Flags().StringVar(&cfg.Do, "do", "", "target that performs the step, as in a plan")
	cmd.Flags().StringVar(&cfg.Undo, "undo", "", "target that undoes the step, as in a plan")
	cmd.Flags().StringVar(&cfg.Step, "step", servicecheck.DefaultStep, "name of the step in the calls")
	cmd.Flags().StringVar(&encoding, "encoding", encoding, "encoding of the calls: json or protobuf")
	cmd.Flags().DurationVar(&cfg.Timeout, "timeout", servicecheck.DefaultTimeout, "longest wait for one answer")
	calls.addFlags(cmd)
	calls.addDownstreamsFlag(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		environment, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		d, err := calls.directory(environment)
		if err != nil {
			return err
		}
		check := func(flag, target string) error {
			if target == "" {
				return nil
			}
			if err := cmp.Or(gateway.Check(target), d.Check(target)); err != nil {
				return fmt.Errorf("--%s: %w", flag, err)
			}
			return nil
		}
		err = cmp.Or(check("do", cfg.Do), check("undo", cfg.Undo), checkTimeout(cfg.Timeout))
		switch encoding {
		case "json":
			cfg.Encoding = messages.Encoding_ENCODING_JSON
		case "protobuf":
			cfg.Encoding = messages.Encoding_ENCODING_PROTOBUF
		default:
			err = cmp.Or(err, fmt.Errorf("--encoding is %q: want json or protobuf", encoding))
		}
		if cfg.Do == "" {
			err = errors.New(`--do is missing: want "orderly check-service --do URL [--undo URL]"`)
		}
		if err != nil {
			return usage(err)
		}
		if cfg.Order, err = calls.readOrder(); err != nil {
			return err
		}
		if err := calls.confirm(effectOf(cfg)); err != nil {
			return err
		}
		return calls.withCaller(cmd.Context(), d, []string{cfg.Do, cfg.Undo}, func(caller *servicecheck.Caller) error {
			return checkService(cmd, t, caller, cfg, *output)
		})
	}
	return cmd
}

func effectOf(cfg servicecheck.Config) string {
	if cfg.Undo == "" {
		return "the service performs the step for up to 4 test orders, and nothing undoes it"
	}
	return "the service performs and undoes the step for up to 4 test orders"
}

func checkService(cmd *cobra.Command, t terminal, caller *servicecheck.Caller, cfg servicecheck.Config, output format) error {
	if output == formatText {
		cfg.Each = func(c servicecheck.Check) { _ = c.WriteText(t.out) } // an error shows in the summary
	}
	report, err := servicecheck.Run(cmd.Context(), caller, cfg)
	switch {
	case err != nil:
		return err
	case output == formatJSON:
		err = writeJSON(t.out, report)
	default:
		err = report.WriteSummary(t.out)
	}
	if err == nil && report.Failed > 0 {
		err = errSilent
	}
	return err
}
