package ledger

import (
	"context"

	"github.com/orderly-engine/orderly/messages"
)

// AppendPart stores a part of a summary.
func AppendPart(ctx context.Context, l *Ledger, summary string, set Set) error {
	_, err := l.publish(ctx, messages.SubjectLedgerRecord, &messages.LedgerRecord{PartOf: summary, Runs: set.encode()})
	return err
}
