package cli

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/node/cause"
)

// maxGroups bounds the memory for causes; the orders with further ones are counted together.
const maxGroups = 1000

// causeGroup counts the orders with one cause. Its JSON form is stable.
type causeGroup struct {
	Orders int `json:"orders"`
	// Cause is the reason; what differs between the orders is replaced by cause.Placeholder. It selects them with --reason.
	Cause string `json:"cause"`
	// Oldest is the order that has been in its status for the longest time, Since is when it entered the status.
	Oldest string    `json:"oldest"`
	Since  time.Time `json:"since"`
}

// causeGroups counts orders by cause. The zero value is empty.
type causeGroups struct {
	groups map[string]*causeGroup
	// others counts the orders with none of the groups.
	others int
}

// add counts an order that entered its status at since.
func (c *causeGroups) add(id, reason string, since time.Time) {
	key := cause.Group(reason, id)
	g := c.groups[key]
	if g == nil {
		if len(c.groups) == maxGroups {
			c.others++
			return
		}
		if c.groups == nil {
			c.groups = map[string]*causeGroup{}
		}
		g = &causeGroup{Cause: reason, Oldest: id, Since: since}
		c.groups[key] = g
	}
	g.Orders++
	if g.Cause != reason {
		g.Cause = key
	}
	if since.Before(g.Since) {
		g.Oldest, g.Since = id, since
	}
}

// top returns the most frequent causes, at most limit (0: all), and the number of orders with other causes.
func (c *causeGroups) top(limit int) (groups []causeGroup, others int) {
	groups, others = []causeGroup{}, c.others
	for _, g := range c.groups {
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b causeGroup) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), cmp.Compare(a.Cause, b.Cause))
	})
	for limit > 0 && len(groups) > limit {
		others += groups[len(groups)-1].Orders
		groups = groups[:len(groups)-1]
	}
	return groups, others
}
