package api

import (
	"net/http"
	"time"
)

// LimitConnections sets the read and write timeouts; before Start.
func (a *API) LimitConnections(d time.Duration) {
	a.server.ReadTimeout, a.server.WriteTimeout = d, d
}

// Handler serves without a listener.
func (a *API) Handler() http.Handler { return a.server.Handler }
