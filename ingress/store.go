package ingress

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// StoreState is the room of a store, in bytes.
type StoreState struct {
	// Left of what all streams together may take, which is Limit; 0: there is no limit, or it is unknown.
	Left, Limit int64
	// Disk is what is left on the disk; 0: unknown.
	Disk int64
}

// Store measures a store.
type Store func(context.Context) (StoreState, error)

// AccountStore measures the limit of the client's account, which is the only one that NATS tells a client.
func AccountStore(js jetstream.JetStream, replicas int) Store {
	return func(ctx context.Context) (StoreState, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		account, err := js.AccountInfo(ctx)
		if err != nil {
			return StoreState{}, fmt.Errorf("read the account's limits: %w", err)
		}
		// A limit counts every replica; that of a tier counts for each of its replicas.
		used, limit := int64(account.Store), account.Limits.MaxStore
		if tier, ok := account.Tiers[fmt.Sprintf("R%d", replicas)]; ok {
			used, limit = int64(tier.Store), tier.Limits.MaxStore*int64(replicas)
		}
		if limit <= 0 {
			return StoreState{}, nil
		}
		return StoreState{Left: max(0, limit-used) / int64(replicas), Limit: limit / int64(replicas)}, nil
	}
}
