package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newPlanCheck(t terminal) *cobra.Command {
	call := planCall{serviceCalls: serviceCalls{t: t}}
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check plan files without a node, or call one step of a plan",
		Long: `Check plan files, without a node. Every error of a file is a line with the line of the file, the step, the field and what is
allowed; the exit code is 1 then. A warning is about what is allowed and often goes wrong; it does not change the exit code.
With a file of downstreams (--downstreams or ORDERLY_DOWNSTREAMS), the names in targets are checked against it.

With --call STEP the step is called for real, once, as the engine calls it, for a test order or the one of --order. The
request, the answer and what it means for the order are printed; the exit code is 1 unless the answer is understood.`,
		Example: "  orderly plan check plan.yaml\n  orderly plan check plans/*.yaml -o json\n  orderly plan check plan.yaml --call reserve_stock --order order.json",
		Args:    atLeastOne("FILE"),
	}
	cmd.Flags().StringVar(&call.step, "call", "", "call this step for real")
	cmd.Flags().BoolVar(&call.undo, "undo", false, "with --call: call its undo")
	cmd.Flags().StringVar(&call.results, "results", "", "with --call: file with the data of the steps before it, a JSON object by step")
	call.addFlags(cmd)
	call.addDownstreamsFlag(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cfg, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		d, err := call.directory(cfg)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("call") {
			if len(files) > 1 {
				return usage(errors.New("--call goes with one plan file"))
			}
			p, err := plan.Load(files[0], checkTarget(d))
			if err != nil {
				return err
			}
			return call.run(cmd.Context(), p, d, *output)
		}
		for _, name := range []string{"undo", "order", "results", "yes"} {
			if cmd.Flags().Changed(name) {
				return usage(fmt.Errorf("--%s goes with --call", name))
			}
		}
		return checkPlans(t, files, cfg.Hold, d, *output)
	}
	return cmd
}

// checkTarget returns the check of targets; d may be nil: then names are not checked.
func checkTarget(d *directory.Directory) func(string) error {
	return func(target string) error {
		err := gateway.Check(target)
		if err == nil && d != nil {
			err = d.Check(target)
		}
		return err
	}
}

func checkPlans(t terminal, files []string, hold time.Duration, d *directory.Directory, output format) error {
	valid := true
	reports := make([]planReport, 0, len(files))
	for _, file := range files {
		r := checkPlan(file, hold, d)
		valid = valid && r.OK
		reports = append(reports, r)
		if output == formatText {
			r.writeText(t)
		}
	}
	if output == formatJSON {
		if err := writeJSON(t.out, reports); err != nil {
			return err
		}
	}
	if !valid {
		return errSilent
	}
	return nil
}

// planReport is the JSON form of a checked plan file.
type planReport struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
	// Plan, Version and Steps are of a valid plan.
	Plan     string         `json:"plan,omitempty"`
	Version  uint32         `json:"version,omitempty"`
	Steps    int            `json:"steps,omitempty"`
	Errors   []plan.Problem `json:"errors,omitempty"`
	Warnings []plan.Problem `json:"warnings,omitempty"`
}

func checkPlan(file string, hold time.Duration, d *directory.Directory) planReport {
	p, warnings, err := plan.LoadWithWarnings(file, checkTarget(d), hold)
	r := planReport{
		File: file, OK: err == nil, Plan: p.GetName(), Version: p.GetVersion(), Steps: len(p.GetSteps()), Warnings: warnings,
	}
	var invalid *plan.InvalidError
	switch {
	case errors.As(err, &invalid):
		r.Errors = invalid.Problems
		if invalid.More > 0 {
			r.Errors = append(r.Errors, plan.Problem{Text: fmt.Sprintf("and %d more", invalid.More)})
		}
	case err != nil:
		r.Errors = []plan.Problem{{Text: err.Error()}}
	}
	return r
}

// writeText writes errors and warnings to standard error, and a valid plan to standard output.
func (r *planReport) writeText(t terminal) {
	for _, p := range r.Errors {
		writeProblem(t.err, r.File, p, "")
	}
	for _, p := range r.Warnings {
		writeProblem(t.err, r.File, p, "warning: ")
	}
	if r.OK {
		fmt.Fprintf(t.out, "%s: plan %s v%d, %s: ok\n", timeline.Printable(r.File), r.Plan, r.Version, count(int64(r.Steps), "step"))
	}
}

// writeProblem writes a line that editors can follow to its place.
func writeProblem(w io.Writer, file string, p plan.Problem, severity string) {
	where := file
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", file, p.Line)
	}
	fmt.Fprintln(w, timeline.Printable(where+": "+severity+p.Where()+p.Text))
}
