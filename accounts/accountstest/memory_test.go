package accountstest

import (
	"testing"

	"gomaild/accounts"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Test(t, func(_ *testing.T, w World) (accounts.Lookup, func(World)) {
		m := NewMemory(w)
		return m, m.Add
	})
}
