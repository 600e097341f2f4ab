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

// checkUses reads the uses that METADATA is to give a mailbox, which must be possible
// as those of CREATE (RFC 6154 section 4), and spells them as LIST does.
func checkUses(value string) (string, error) {
	var uses []string
	for word := range strings.FieldsSeq(value) {
		use, known := storage.GivableUse(word)
		if !known {
			return "", no("USEATTR", "special use is not possible here")
		}
		if !slices.Contains(uses, use) {
			uses = append(uses, use)
		}
	}
	return strings.Join(uses, " "), nil
}

// addUses puts the special uses that a mailbox has, whoever gave them, into its
// annotations.
func (s *session) addUses(ctx context.Context, mailbox string, notes storage.Annotations) error {
	infos, err := s.account.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.Name == mailbox && info.SpecialUse != "" {
			notes[storage.SpecialUseEntry] = info.SpecialUse
		}
	}
	return nil
}

// setUses gives a new mailbox its special uses.
func (s *session) setUses(ctx context.Context, name string, uses []string) error {
	if len(uses) == 0 {
		return nil
	}
	value := strings.Join(uses, " ")
	return s.account.Annotate(ctx, name, map[string]*string{storage.SpecialUseEntry: &value})
}
