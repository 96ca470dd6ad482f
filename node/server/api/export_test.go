package api

import "time"

// LimitConnections sets what bounds ordinary requests on a connection; before Start.
func (a *API) LimitConnections(d time.Duration) {
	a.server.ReadTimeout, a.server.WriteTimeout = d, d
}
