package memory

import (
	"context"
	"maps"

	"gomaild/storage"
)

// Annotations implements storage.Account.
func (a *account) Annotations(_ context.Context, mailbox string) (storage.Annotations, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	notes, err := a.notesOf(mailbox)
	if err != nil {
		return nil, err
	}
	return maps.Clone(*notes), nil
}

// Annotate implements storage.Account.
func (a *account) Annotate(_ context.Context, mailbox string, set map[string]*string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	notes, err := a.notesOf(mailbox)
	if err != nil {
		return err
	}
	edited := storage.Annotations{}
	maps.Copy(edited, *notes)
	for entry, value := range set {
		var text string
		if value != nil {
			text = *value
		}
		entry, err := storage.CheckAnnotation(entry, text)
		switch {
		case err != nil:
			return err
		case value == nil:
			delete(edited, entry)
		default:
			edited[entry] = text
		}
	}
	if len(edited) > storage.MaxAnnotations {
		return storage.ErrAnnotationCount
	}
	*notes = edited
	return nil
}

// notesOf is called with the lock held.
func (a *account) notesOf(mailbox string) (*storage.Annotations, error) {
	if mailbox == "" {
		return &a.notes, nil
	}
	b, err := a.find(mailbox)
	if err != nil {
		return nil, err
	}
	return &b.notes, nil
}
