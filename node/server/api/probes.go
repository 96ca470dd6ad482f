package api

import "net/http"

// state is the answer of a probe that has nothing to complain about.
type state struct {
	Status string `json:"status"`
}

// live: the process answers. It asks nobody else, because restarting a node cures nothing but itself.
func (a *API) live(w http.ResponseWriter, _ *http.Request) *problem {
	answer(w, http.StatusOK, state{"live"})
	return nil
}

// ready: the node takes orders on.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Ready(); err != nil {
		return unavailable("not ready: " + err.Error())
	}
	answer(w, http.StatusOK, state{"ready"})
	return nil
}

// health: NATS is connected.
func (a *API) health(w http.ResponseWriter, _ *http.Request) *problem {
	if !a.deps.Health.Connected() {
		return unavailable("NATS is not connected: the node reconnects by itself")
	}
	answer(w, http.StatusOK, state{"connected"})
	return nil
}
