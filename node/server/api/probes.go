package api

import "net/http"

// state is the response of a successful probe.
type state struct {
	Status string `json:"status"`
}

// live reports that the process answers. It checks nothing else, because a restart would not repair anything else.
func (a *API) live(w http.ResponseWriter, _ *http.Request) *problem {
	respond(w, http.StatusOK, state{"live"})
	return nil
}

// ready: the node accepts orders.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Ready(); err != nil {
		return unavailable("not ready: " + err.Error())
	}
	respond(w, http.StatusOK, state{"ready"})
	return nil
}

// health: NATS is connected, and the node's work succeeds.
func (a *API) health(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Healthy(); err != nil {
		return unavailable("not healthy: " + err.Error())
	}
	respond(w, http.StatusOK, state{"healthy"})
	return nil
}
