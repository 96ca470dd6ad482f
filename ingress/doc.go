// Package ingress is the way between JetStream and the engine: it creates the streams, takes messages about orders and
// wake-ups in as deliveries, settles each of them once, moves to the dead letters what belongs to no order, and
// publishes.
//
// # Ordering
//
// Messages about one order arrive in the order of the stream, except for those delivered again and those taken in while
// the connection comes back; the order protocol does not rely on it. A dead letter is stored and acknowledged before
// its message is terminated. A redriven message is stored and acknowledged before its dead letter is deleted.
//
// # Ownership
//
// A delivery belongs to the one it is handed to until it is settled. An Inbox owns its subscriptions, its table of
// unsettled deliveries and its goroutines: one that gives signs of life, one that stores dead letters, and one that
// acknowledges many messages at a time if it is to, from New to Drain; and those of Run. It owns neither the connection nor the streams.
//
// The order of stopping: end the context of Run, which stops asking and gives back what nobody has seen; settle what is
// held; Drain; drain the connection.
//
// # Failure
//
// Whatever is not settled (a crash, a lost connection, an acknowledgement that got lost) is delivered again after the
// ack wait, here or on another node. Nothing that arrives can stop a node: what cannot be understood, and what makes
// the code panic, becomes a dead letter. While dead letters cannot be stored their messages stay in the inbox.
package ingress
