package permission

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Role is a kind of user.
type Role string

// The roles. Engine, Operator and Service belong to the account of the streams.
const (
	// Engine is a node.
	Engine Role = "engine"
	// Publisher publishes messages about orders.
	Publisher Role = "publisher"
	// Viewer reads orders and dead letters.
	Viewer Role = "viewer"
	// Operator runs every command of the command line that has to do with orders.
	Operator Role = "operator"
	// Service answers the calls of a plan.
	Service Role = "service"
)

// Roles lists the roles.
func Roles() []Role { return []Role{Engine, Publisher, Viewer, Operator, Service} }

// ParseRole returns the role of that name; the error lists the names.
func ParseRole(s string) (Role, error) {
	var names []string
	for _, r := range Roles() {
		if s == string(r) {
			return r, nil
		}
		names = append(names, string(r))
	}
	return "", fmt.Errorf("unknown role %q: want %s", s, strings.Join(names, ", "))
}

// Account of the user in the configuration.
func (r Role) Account() string {
	switch r {
	case Publisher:
		return "PUBLISHERS"
	case Viewer:
		return "VIEWERS"
	}
	return streamsAccount
}

// ClientDomain is the JetStream domain by which a user outside of the account of the streams reaches them: under
// $JS.API.> its own account answers, that it has no streams.
const ClientDomain = "ORDERLY"

// api returns the subject of an operation of JetStream in the account of the role.
func (r Role) api(operation string) string {
	if r.Account() == streamsAccount {
		return jetstream.DefaultAPIPrefix + operation
	}
	return "$JS." + ClientDomain + ".API." + operation
}

// streamsAccount is the account with the streams.
const streamsAccount = "ORDERLY"
