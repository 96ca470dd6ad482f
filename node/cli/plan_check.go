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
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check plan files, without a node",
		Long: `Check plan files, without a node. Every error of a file is a line with the line of the file, the step, the field and what is
allowed; the exit code is 1 then. A warning is about what is allowed and often goes wrong; it does not change the exit code.`,
		Example: "  orderly plan check plan.yaml\n  orderly plan check plans/*.yaml -o json",
		Args:    atLeastOne("FILE"),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		cfg, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		check, err := targetCheck(cfg)
		if err != nil {
			return err
		}
		valid := true
		reports := make([]planReport, 0, len(files))
		for _, file := range files {
			r := checkPlan(file, check, cfg.Hold)
			valid = valid && r.OK
			reports = append(reports, r)
			if *output == formatText {
				r.writeText(t)
			}
		}
		if *output == formatJSON {
			if err := writeJSON(t.out, reports); err != nil {
				return err
			}
		}
		if !valid {
			return errSilent
		}
		return nil
	}
	return cmd
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

// targetCheck checks targets, also against the file of downstreams if the environment names one.
func targetCheck(cfg config.Config) (func(target string) error, error) {
	if cfg.DownstreamsFile == "" {
		return gateway.Check, nil
	}
	d, err := directory.Load(cfg.DownstreamsFile)
	if err != nil {
		return nil, fmt.Errorf("ORDERLY_DOWNSTREAMS: %w", err)
	}
	return func(target string) error {
		if err := gateway.Check(target); err != nil {
			return err
		}
		return d.Check(target)
	}, nil
}

func checkPlan(file string, check func(target string) error, hold time.Duration) planReport {
	p, warnings, err := plan.LoadWithWarnings(file, check, hold)
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
