package crash_test

import (
	"bytes"
	"encoding/json"
	"os"
)

// effect is one line of the services' file.
type effect struct {
	Key       string `json:"key"`
	Order     string `json:"order"`
	Step      string `json:"step"`
	Direction string `json:"direction"`
	Verdict   string `json:"verdict"`
}

// effects are counted by order and then by "<step>/<direction>", whatever key they were performed under.
type effects struct {
	performed map[string]map[string]int
	// refused are the orders that a service said no to.
	refused map[string]bool
	// total counts all.
	total int
}

func (w *world) readEffects() effects {
	w.Helper()
	b, err := os.ReadFile(w.effects)
	if err != nil {
		w.Fatal(err)
	}
	all := effects{performed: map[string]map[string]int{}, refused: map[string]bool{}}
	for line := range bytes.Lines(b) {
		var e effect
		if err := json.Unmarshal(line, &e); err != nil {
			w.Fatalf("%s: %v", line, err)
		}
		switch e.Verdict {
		case "performed":
			if all.performed[e.Order] == nil {
				all.performed[e.Order] = map[string]int{}
			}
			all.performed[e.Order][e.Step+"/"+e.Direction]++
			all.total++
		case "refused":
			all.refused[e.Order] = true
		}
	}
	return all
}
