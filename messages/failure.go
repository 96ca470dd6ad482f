package messages

// The kinds of failure.
const (
	// Transient: time-outs, 5xx, unavailable. Worth another attempt.
	Transient = FailureKind_FAILURE_KIND_TRANSIENT
	// Rejected: a business no.
	Rejected = FailureKind_FAILURE_KIND_REJECTED
	// Poison: undecodable or invalid; no attempt will ever succeed.
	Poison = FailureKind_FAILURE_KIND_POISON
	// Fenced: somebody else advanced the order.
	Fenced = FailureKind_FAILURE_KIND_FENCED
	// Defect: a panic.
	Defect = FailureKind_FAILURE_KIND_DEFECT
	// Infrastructure: the journal or NATS is away.
	Infrastructure = FailureKind_FAILURE_KIND_INFRASTRUCTURE
)

// Word is the kind in one lower-case word, as it appears in logs, metrics and timelines.
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
	}
	return "unknown"
}
