// Package plan reads, completes, validates and compares plans, and holds the built-in ones.
//
// A plan file is YAML or JSON of the Plan message:
//
//	name: order                # [a-z][a-z0-9_]*
//	version: 1                 # at least 1; raise it with every change
//	steps:                     # 1–64, performed in this order, undone in reverse
//	  - name: reserve_inventory
//	    do: nats://inventory.reserve
//	    undo: nats://inventory.release       # optional: nothing to undo without it
//	    timeout: 2s                          # 1ms–5m, default 2s
//	    retry: {initial: 100ms, max: 30s, attempts: 10}   # the defaults
//	    limits: {concurrency: 256, rate: 0}  # the defaults; 0: no limit
//	    in_doubt: settle                     # or undo
//	    encoding: json                       # or protobuf
//	    reply:                               # optional: reads answers that are not a StepReply, see package reading
//	      done_when: body.status == "ok"
//	      data: body.reservation
//	    undo_reply: {done_when: body.released}     # optional: the same for the undo
//	    nothing_to_undo: [unknown_reservation]     # optional: at most 32 codes or statuses of a rejected undo
//
// An order keeps the plan with which it was accepted; a changed plan applies to new orders. A name and version identify one
// content permanently: CheckUnchanged compares a plan with the one registered under them.
package plan
