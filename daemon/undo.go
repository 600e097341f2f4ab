package daemon

import (
	"context"
	"errors"
	"fmt"
)

// undoStack remembers how to take back what was started.
type undoStack struct {
	steps []undoStep
}

type undoStep struct {
	name string
	run  func(ctx context.Context) error
}

func (u *undoStack) push(name string, run func(ctx context.Context) error) {
	u.steps = append(u.steps, undoStep{name, run})
}

// run takes back everything, the last first, whatever fails on the way. ctx is
// the grace: when it ends the steps cut short what they wait for, and still
// run. The stack is empty afterwards.
func (u *undoStack) run(ctx context.Context) error {
	var errs []error
	for len(u.steps) > 0 {
		last := len(u.steps) - 1
		step := u.steps[last]
		u.steps = u.steps[:last]
		if err := step.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}
