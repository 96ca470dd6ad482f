package actors

// Busy reports whether an append or background work of the actor is under way.
func (o *Order) Busy() bool { return o.busy }
