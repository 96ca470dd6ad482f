package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/cli/plandraw"
	"github.com/orderly-engine/orderly/node/server/config"
)

func newPlanShow(t terminal) *cobra.Command {
	output := drawingFormat("text")
	calls := serviceCalls{t: t}
	cmd := &cobra.Command{
		Use:   "show FILE | NAME[@VERSION]",
		Short: "Draw the plan of a file, or one that nodes have registered",
		Long: `Draw the plan of a file, or the plan that nodes have registered on NATS under a name and a version; without a version the
highest one. An argument that is the path of a file is that file.

-o mermaid draws a flowchart for documents; -o json prints the plan with all defaults, which is a valid plan file.`,
		Example: "  orderly plan show plan.yaml\n  orderly plan show order@1\n  orderly plan show order -o mermaid",
		Args:    arguments("FILE|NAME[@VERSION]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(t.environ)
			if err != nil {
				return err
			}
			d, err := calls.directory(cfg)
			if err != nil {
				return err
			}
			p, err := findPlan(cmd.Context(), t, args[0])
			if err != nil {
				return err
			}
			return writePlan(t.out, output, plandraw.Drawing{Plan: p, Downstreams: d})
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "output format")
	calls.addDownstreamsFlag(cmd)
	return cmd
}

// drawingFormat is the value of -o of plan show.
type drawingFormat string

func (f *drawingFormat) String() string { return string(*f) }
func (f *drawingFormat) Type() string   { return "text|json|mermaid" }

// Set takes text, json or mermaid.
func (f *drawingFormat) Set(s string) error {
	switch s {
	case "text", "json", "mermaid":
		*f = drawingFormat(s)
		return nil
	}
	return errors.New("want text, json or mermaid")
}

func writePlan(w io.Writer, f drawingFormat, d plandraw.Drawing) error {
	switch f {
	case "mermaid":
		return d.WriteMermaid(w)
	case "json":
		return writePlanJSON(w, d.Plan)
	}
	return d.WriteText(w)
}

// emptyField and firstEmptyField are texts and lists without content, within an object and at its beginning.
var (
	emptyField      = regexp.MustCompile(`,\s*"\w+":\s*(?:""|\[\])`)
	firstEmptyField = regexp.MustCompile(`(\{\s*)"\w+":\s*(?:""|\[\]),`)
)

// writePlanJSON writes a plan as a plan file, with limits of 0, which are not the defaults of a file.
func writePlanJSON(w io.Writer, p *messages.Plan) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(p)
	if err != nil {
		return err
	}
	text = firstEmptyField.ReplaceAll(emptyField.ReplaceAll(text, nil), []byte("$1"))
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", jsonIndent); err != nil {
		return err
	}
	indented.WriteByte('\n')
	_, err = indented.WriteTo(w)
	return err
}

var registeredName = regexp.MustCompile(`^([a-z][a-z0-9_]{0,63})(?:@([1-9][0-9]{0,9}))?$`)

// findPlan reads the plan of a file or, if there is no such file, a registered one.
func findPlan(ctx context.Context, t terminal, arg string) (*messages.Plan, error) {
	name := registeredName.FindStringSubmatch(arg)
	if _, err := os.Stat(arg); !errors.Is(err, fs.ErrNotExist) || name == nil {
		return plan.Load(arg, gateway.Check)
	}
	var version uint64
	if name[2] != "" {
		var err error
		if version, err = strconv.ParseUint(name[2], 10, 32); err != nil {
			return nil, usage(fmt.Errorf("version %s: want 1–4294967295", name[2]))
		}
	}
	var found *messages.Plan
	err := withConnection(ctx, t, func(c *connection) (err error) {
		if found, err = ingress.RegisteredPlan(ctx, c.js, name[1], uint32(version)); err == nil && found == nil {
			err = fmt.Errorf("no file and no registered plan is named %s: a node registers its plan when it first starts with it", arg)
		}
		return err
	})
	return found, err
}
