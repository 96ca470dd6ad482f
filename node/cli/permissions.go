package cli

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/node/permission"
	"github.com/orderly-engine/orderly/node/server/config"
)

func newPermissions(t terminal) *cobra.Command {
	calls := serviceCalls{t: t}
	var role, file string
	var demo bool
	cmd := &cobra.Command{
		Use:   "permissions",
		Short: "Print the NATS permissions that nodes and their clients need",
		Long: `Print a configuration of nats-server: the accounts of Orderly, with a user for each role and exactly the permissions it
needs. With --role print the permissions of that role only, for a user of your own.

  engine     a node
  publisher  publishes orders and messages about them
  viewer     get, list, dead list, dead show, plan show
  operator   every command about orders
  service    answers the calls of the plan over NATS

Publishers and viewers have accounts of their own: an account that has the streams stores what a server answers on a reply
subject, and clients choose those. The calls over NATS are those of --plan.`,
		Example: "  orderly permissions > accounts.conf\n  orderly permissions --role engine --plan plan.yaml",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var only permission.Role
			if role != "" {
				var err error
				if only, err = permission.ParseRole(role); err != nil {
					return usage(err)
				}
			}
			cfg, err := config.Load(t.environ)
			if err != nil {
				return err
			}
			d, err := calls.directory(cfg)
			if err != nil {
				return err
			}
			p := plan.Builtin()
			if file = cmp.Or(file, cfg.PlanFile); file != "" {
				if p, err = plan.Load(file, checkTarget(d)); err != nil {
					return err
				}
			}
			uses := permission.Uses{Calls: permission.Calls(p, d), Demo: demo}
			if only != "" {
				return permission.WriteRole(t.out, only, uses)
			}
			return permission.Write(t.out, uses)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "only this role: engine, publisher, viewer, operator or service")
	cmd.Flags().StringVar(&file, "plan", "", "plan file (default: that of ORDERLY_PLAN, or the built-in plan)")
	cmd.Flags().BoolVar(&demo, "demo", false, "with what nodes need that run the demo services")
	calls.addDownstreamsFlag(cmd)
	return cmd
}
