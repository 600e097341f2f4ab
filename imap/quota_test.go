package imap

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gomaild/storage"
)

// limitedStore is a store whose accounts have these limits.
type limitedStore struct {
	storage.Store
	limits storage.Limits
}

func (s limitedStore) Account(ctx context.Context, o storage.Owner) (storage.Account, error) {
	o.Limits = s.limits
	return s.Store.Account(ctx, o)
}

// limited is store with the limits of a dialog's "! quota".
func limited(t *testing.T, store storage.Store, lines []string) storage.Store {
	t.Helper()
	for _, line := range lines {
		if !strings.HasPrefix(line, "! quota ") {
			continue
		}
		s := limitedStore{store, storage.Limits{Counted: true}}
		if _, err := fmt.Sscanf(line, "! quota %d %d", &s.limits.Max.Bytes, &s.limits.Max.Messages); err != nil {
			t.Fatal(err)
		}
		return s
	}
	return store
}
