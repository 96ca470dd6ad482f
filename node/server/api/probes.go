package api

import "net/http"

// state is the response of a successful probe.
type state struct {
	Status string `json:"status"`
	// RoomBytes is the room for new orders.
	RoomBytes *int64 `json:"room_bytes,omitempty"`
}

// live: the process answers, and a restart would not help.
func (a *API) live(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Live(); err != nil {
		return unavailable("a restart would help: " + err.Error())
	}
	respond(w, http.StatusOK, state{Status: "live"})
	return nil
}

// ready: the node accepts orders.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Ready(); err != nil {
		return unavailable("not ready: " + err.Error())
	}
	respond(w, http.StatusOK, state{Status: "ready"})
	return nil
}

// health: NATS is connected, and the node's work succeeds.
func (a *API) health(w http.ResponseWriter, _ *http.Request) *problem {
	if err := a.deps.Health.Healthy(); err != nil {
		return unavailable("not healthy: " + err.Error())
	}
	healthy := state{Status: "healthy"}
	if room, known := a.deps.Health.Room(); known {
		healthy.RoomBytes = &room
	}
	respond(w, http.StatusOK, healthy)
	return nil
}
