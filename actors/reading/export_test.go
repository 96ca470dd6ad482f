package reading

import "github.com/orderly-engine/orderly/messages"

const (
	MaxCost   = maxCost
	MaxCached = maxCached
)

// Cost evaluates a condition and returns its cost and its error.
func Cost(condition string, body []byte) (uint64, error) {
	p, err := Compile(&messages.Reading{DoneWhen: condition})
	if err != nil {
		return 0, err
	}
	value, _ := decode(body)
	_, details, err := p.conditions[0].program.Eval(&variables{status: 200, body: value})
	return *details.ActualCost(), err
}
