package server

import (
	"errors"
	"strings"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
)

// readFiles reads the file of downstreams and the plan.
func (n *node) readFiles() (err error) {
	if n.cfg.DownstreamsFile != "" {
		if n.downstreams, err = directory.Load(n.cfg.DownstreamsFile); err != nil {
			return inVariable("ORDERLY_DOWNSTREAMS", err)
		}
	}
	n.plan = plan.Builtin()
	if n.cfg.PlanFile != "" {
		if n.plan, err = plan.Load(n.cfg.PlanFile, n.checkTarget); err != nil {
			return inVariable("ORDERLY_PLAN", err)
		}
	}
	return nil
}

// checkTarget returns an error unless the node can call target.
func (n *node) checkTarget(target string) error {
	if err := gateway.Check(target); err != nil {
		return err
	}
	return n.downstreams.Check(target)
}

// inVariable names the variable in each line of an error: there is one for each problem.
func inVariable(name string, err error) error {
	prefix := name + ": "
	return errors.New(prefix + strings.ReplaceAll(err.Error(), "\n", "\n"+prefix))
}
