package permission

import (
	"slices"

	"github.com/orderly-engine/orderly/messages"
)

// ListSubject takes queries for orders; it is index.Subject, which this package cannot import.
const ListSubject = "ORDERLY.list"

// inboxes are the subjects of replies.
const inboxes = "_INBOX.>"

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
func Published(role Role, calls []string) []string { return Of(role, calls).Published(role.api) }

// Core returns the permissions of an engine that answers no queries for orders.
func Core(calls []string) Permissions {
	p := engine(calls)
	p.Publish = slices.DeleteFunc(p.Publish, func(s string) bool { return s == ListSubject })
	p.Subscribe, p.Respond = []string{inboxes}, false
	return p
}

// Listing returns the permissions of a node that answers queries for orders, besides those of its engine.
func Listing() Permissions {
	return Permissions{Publish: []string{ListSubject}, Subscribe: []string{ListSubject}, Respond: true}
}

// Of returns the permissions of a role. Calls are the subjects of the calls over NATS, see Calls.
func Of(role Role, calls []string) Permissions {
	switch role {
	case Engine:
		return engine(calls)
	case Publisher:
		return Permissions{Publish: []string{messages.SubjectOrder + "*"}, Subscribe: []string{inboxes}}
	case Viewer:
		return Permissions{API: views, Publish: []string{ListSubject}, Subscribe: []string{inboxes}}
	case Operator:
		return operator()
	case Service:
		// $SRV: the discovery of NATS micro services.
		return Permissions{Subscribe: append(slices.Clone(calls), "$SRV.>"), Respond: true}
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

func engine(calls []string) Permissions {
	var p Permissions
	p.API = slices.Concat(
		reads,
		each("CONSUMER.INFO.", consumed, "."+messages.Consumer),
		each("CONSUMER.MSG.NEXT.", consumed, "."+messages.Consumer),
		// Retention, acknowledgements of many messages at once, summaries, and what no node stored in place of a plan.
		each("STREAM.PURGE.", []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamLedger}, ""),
		[]string{"STREAM.MSG.DELETE." + messages.StreamPlans},
		ordered(messages.StreamEvents),
	)
	p.Setup = slices.Concat(
		[]string{"INFO"},
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
	}, calls)
	p.Subscribe = []string{inboxes, ListSubject}
	p.Respond = true
	return p
}

func operator() Permissions {
	return Permissions{
		API: slices.Concat(reads, each("STREAM.MSG.DELETE.", streams, ""), ordered(messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans)),
		// A wake-up sets a timer again that a foreign message cancelled.
		Publish:   []string{messages.SubjectOrder + "*", messages.SubjectWake + "*", ListSubject},
		Subscribe: []string{inboxes},
	}
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
