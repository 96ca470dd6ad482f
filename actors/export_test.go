package actors

// Busy reports whether an append, a read, a look-up or a scheduling of the actor is under way.
func (o *Order) Busy() bool { return o.busy }
