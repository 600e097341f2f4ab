package imap

import (
	"context"
	"slices"
	"strings"

	"gomaild/storage"
)

// parseUses reads the parameters of CREATE after the name: special uses (RFC
// 6154 section 3), which become an annotation of the mailbox (section 4).
func parseUses(g *grammar) []string {
	var uses []string
	g.List(func() {
		if g.Word() != "USE" {
			g.Fail("unknown CREATE parameter")
		}
		g.SP()
		g.List(func() {
			use, known := storage.GivableUse(g.Flag())
			if !known {
				g.FailCode("USEATTR", "special use is not possible here")
			}
			if !slices.Contains(uses, use) {
				uses = append(uses, use)
			}
		})
	})
	return uses
}

// setUses gives a new mailbox its special uses.
func (s *session) setUses(ctx context.Context, name string, uses []string) error {
	if len(uses) == 0 {
		return nil
	}
	value := strings.Join(uses, " ")
	return s.account.Annotate(ctx, name, map[string]*string{storage.SpecialUseEntry: &value})
}
