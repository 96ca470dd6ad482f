// Package ingress connects the engine to JetStream: it creates the streams and consumers, receives messages about orders and
// wake-ups as deliveries, stores dead letters, publishes messages and timers, and deletes orders that ended long ago.
//
// To settle a delivery is to acknowledge it, to nak it, or to store a dead letter and then terminate it.
//
// Requests, publish acks, batches and the pull protocol are in package natsclient. Flow control replaces nats.go's Consume:
// see puller.
//
// # Ordering
//
// Messages about one order arrive in the order of the stream, except redelivered ones and those in flight while the connection
// is reestablished; the order protocol does not rely on it. A dead letter is acknowledged by its stream before its message is
// terminated. A redriven message is acknowledged before its dead letter is deleted.
//
// # Ownership
//
// A delivery belongs to its receiver until it is settled. An Inbox owns its subscriptions, its table of held deliveries and its
// goroutines. From New to Drain one extends the ack wait of held deliveries, one stores dead letters, and with Config.GroupAck
// one purges settled messages; during Run one measures the lag. The Inbox owns neither the connection nor the streams.
//
// To stop: cancel the context of Run, which ends the pulls and naks messages not yet delivered; settle what is held; call Drain;
// drain the connection.
//
// # Failure
//
// A delivery that is not settled (crash, lost connection, lost ack) is redelivered after the ack wait, to any node. No message
// can stop a node: invalid input, and messages whose handling panics, become dead letters. While dead letters cannot be stored,
// their messages stay in the inbox.
package ingress
