package actors

// Busy reports whether an append or background work of the actor is in progress.
func (o *Order) Busy() bool { return o.busy }
