package memory

import (
	"context"
	"fmt"
	"slices"
)

// Check implements storage.Account.
func (a *account) Check(context.Context) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var faults []string
	for name, b := range a.boxes {
		if err := b.view.Check(); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", name, err))
		}
		if len(b.contents) != len(b.view.Messages) {
			faults = append(faults, fmt.Sprintf("%s: %d messages, %d contents", name, len(b.view.Messages), len(b.contents)))
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// Repair implements storage.Account. Nothing breaks in memory.
func (a *account) Repair(context.Context) error { return nil }
