package server

import (
	"github.com/orderly-engine/orderly/node/permission"
	"github.com/orderly-engine/orderly/node/server/config"
)

// permissions are those that the node needs: all are tried before the engine tries its own, so that one error names them all.
func (n *node) permissions() permission.Permissions {
	uses := permission.Uses{Calls: permission.Calls(n.plan, n.downstreams)}
	p := permission.Of(permission.Engine, uses)
	if n.cfg.Index == config.IndexOff { // it asks others
		core := permission.Core(uses)
		p.Subscribe, p.Respond = core.Subscribe, core.Respond
	}
	return p
}
