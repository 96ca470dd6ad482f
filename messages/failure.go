package messages

// The kinds of failure.
const (
	// Transient: timeout, 5xx, 429, unreachable. Another attempt may succeed.
	Transient = FailureKind_FAILURE_KIND_TRANSIENT
	// Rejected: the service refused the step for a business reason.
	Rejected = FailureKind_FAILURE_KIND_REJECTED
	// Poison: undecodable or invalid; no attempt can succeed.
	Poison = FailureKind_FAILURE_KIND_POISON
	// Fenced: another holder has appended to the order's journal.
	Fenced = FailureKind_FAILURE_KIND_FENCED
	// Defect: a panic, or an impossible result of Go code.
	Defect = FailureKind_FAILURE_KIND_DEFECT
	// Infrastructure: the journal or NATS is unavailable.
	Infrastructure = FailureKind_FAILURE_KIND_INFRASTRUCTURE
	// Setup: credentials, address, permission or method are wrong. It says nothing about the order, which waits.
	Setup = FailureKind_FAILURE_KIND_SETUP
	// Unreadable: the service says that the step is performed, and the rest of its answer cannot be read.
	Unreadable = FailureKind_FAILURE_KIND_UNREADABLE
)

// FailureKinds returns every kind.
func FailureKinds() (kinds []FailureKind) {
	for k := Transient; k.Label() != "unknown"; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// Label returns the kind in one lower-case word, as in logs, metrics and timelines.
func (k FailureKind) Label() string {
	switch k {
	case Transient:
		return "transient"
	case Rejected:
		return "rejected"
	case Poison:
		return "poison"
	case Fenced:
		return "fenced"
	case Defect:
		return "defect"
	case Infrastructure:
		return "infrastructure"
	case Setup:
		return "setup"
	case Unreadable:
		return "unreadable"
	}
	return "unknown"
}
