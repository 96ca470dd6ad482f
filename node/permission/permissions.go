package permission

import (
	"slices"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

// ListSubject takes queries for orders; it is index.Subject, which this package cannot import.
const ListSubject = "ORDERLY.list"

const (
	// inboxes are the subjects of replies.
	inboxes = "_INBOX.>"
	// discovery are the subjects on which NATS micro services describe themselves.
	discovery = "$SRV.>"
)

// Uses is what an installation makes use of.
type Uses struct {
	// Calls are the subjects of the calls over NATS, see Calls.
	Calls []string
	// Demo: nodes run the demo services, and operators change how they behave.
	Demo bool
}

// Permissions of a user. Subjects may have wildcards.
type Permissions struct {
	// API are the operations of JetStream, such as STREAM.INFO.ORDERS.
	API []string
	// Setup are those that only a node needs that finds no streams, or streams that an older server created.
	Setup []string
	// Publish and Subscribe are the other subjects.
	Publish, Subscribe []string
	// Respond: the user replies to requests.
	Respond bool
}

// Published lists every subject that the user publishes to. API is the subject of an operation of JetStream.
func (p Permissions) Published(api func(operation string) string) []string {
	var all []string
	for _, operation := range slices.Concat(p.API, p.Setup) {
		all = append(all, api(operation))
	}
	return append(all, p.Publish...)
}

// Published lists every subject that a user of the role publishes to, in its account of the configuration.
func Published(role Role, u Uses) []string { return Of(role, u).Published(role.api) }

// Core returns the permissions of an engine that answers no queries for orders.
func Core(u Uses) Permissions {
	p := engine(u)
	p.Publish = slices.DeleteFunc(p.Publish, func(s string) bool { return s == ListSubject })
	p.Subscribe, p.Respond = []string{inboxes}, false
	return p
}

// Listing returns the permissions of a node that answers queries for orders, besides those of its engine.
func Listing() Permissions {
	return Permissions{Publish: []string{ListSubject}, Subscribe: []string{ListSubject}, Respond: true}
}

// Of returns the permissions of a role.
func Of(role Role, u Uses) Permissions {
	switch role {
	case Engine:
		return engine(u)
	case Publisher:
		return Permissions{Publish: []string{messages.SubjectOrder + "*"}, Subscribe: []string{inboxes}}
	case Viewer:
		return Permissions{API: views, Publish: []string{ListSubject}, Subscribe: []string{inboxes}}
	case Operator:
		return operator(u)
	case Service:
		return Permissions{Subscribe: append(slices.Clone(u.Calls), discovery), Respond: true}
	}
	panic("unknown role " + string(role))
}

// streams are all streams; consumed are those with a durable consumer of the nodes.
var (
	streams = []string{
		messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans,
		messages.StreamLedger,
	}
	consumed = []string{messages.StreamOrders, messages.StreamTimers}
)

// directGet reads the journal in pages.
const directGet = "DIRECT.GET." + messages.StreamEvents

// views are the operations of a viewer. None makes a consumer: its maker chooses the subject of the account on which it
// delivers. reads are those that change nothing.
var (
	views = slices.Concat(
		each("STREAM.INFO.", []string{messages.StreamOrders, messages.StreamPlans}, ""),
		each("STREAM.MSG.GET.", []string{messages.StreamOrders, messages.StreamEvents, messages.StreamDead, messages.StreamPlans}, ""),
		[]string{directGet},
	)
	reads = slices.Concat(each("STREAM.INFO.", streams, ""), each("STREAM.MSG.GET.", streams, ""), []string{directGet})
)

func engine(u Uses) Permissions {
	var p Permissions
	p.API = slices.Concat(
		[]string{"INFO"},
		reads,
		each("CONSUMER.INFO.", consumed, "."+messages.Consumer),
		each("CONSUMER.MSG.NEXT.", consumed, "."+messages.Consumer),
		// Retention, acknowledgements of many messages at once, summaries, and what no node stored in place of a plan.
		each("STREAM.PURGE.", []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamLedger}, ""),
		[]string{"STREAM.MSG.DELETE." + messages.StreamPlans},
		ordered(messages.StreamEvents),
	)
	p.Setup = slices.Concat(
		each("STREAM.CREATE.", streams, ""),
		[]string{
			"CONSUMER.CREATE." + messages.StreamOrders + "." + messages.Consumer + "." + messages.SubjectOrder + "*",
			"CONSUMER.CREATE." + messages.StreamTimers + "." + messages.Consumer + "." + messages.SubjectWake + "*",
		},
		each("STREAM.UPDATE.", []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead}, ""),
	)
	p.Publish = slices.Concat([]string{
		messages.SubjectOrder + "*", messages.SubjectEvent + "*", messages.SubjectTimer + "*", messages.SubjectDead + "*",
		messages.SubjectPlan + "*.*", messages.SubjectLedger + "*", "$JS.ACK.>", ListSubject,
	}, u.Calls)
	p.Subscribe = []string{inboxes, ListSubject}
	if u.Demo {
		p.Publish = append(p.Publish, demo.SubjectStats)
		p.Subscribe = slices.Concat(p.Subscribe, []string{demo.SubjectStats, demo.SubjectBehave, discovery}, u.Calls)
	}
	p.Respond = true
	return p
}

func operator(u Uses) Permissions {
	p := Permissions{
		API: slices.Concat(
			reads, each("STREAM.MSG.DELETE.", streams, ""), []string{"STREAM.PURGE." + messages.StreamLedger},
			ordered(messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans),
		),
		// A wake-up sets a timer again that a foreign message cancelled. Lost messages are written off in the ledger.
		Publish:   []string{messages.SubjectOrder + "*", messages.SubjectWake + "*", messages.SubjectLedger + "*", ListSubject},
		Subscribe: []string{inboxes},
	}
	if u.Demo {
		p.Publish = append(p.Publish, demo.SubjectStats, demo.SubjectBehave)
	}
	return p
}

// ordered are the operations of an ordered consumer.
func ordered(of ...string) []string {
	return slices.Concat(
		each("CONSUMER.CREATE.", of, ".>"), each("CONSUMER.INFO.", of, ".*"), each("CONSUMER.MSG.NEXT.", of, ".*"), each("CONSUMER.DELETE.", of, ".*"),
	)
}

func each(operation string, streams []string, rest string) []string {
	all := make([]string, len(streams))
	for i, stream := range streams {
		all[i] = operation + stream + rest
	}
	return all
}
