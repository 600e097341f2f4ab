package memory

import (
	"context"
	"maps"
	"strconv"

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
	a.noted++
	if err := annotate(notes, set); err != nil {
		return err
	}
	if mailbox != "" {
		b, err := a.find(mailbox)
		if err != nil {
			return err
		}
		b.publish(b.edit()) // RFC 7162 section 3.2: with a higher HIGHESTMODSEQ
	}
	return nil
}

// AnnotationsVersion implements storage.Account.
func (a *account) AnnotationsVersion(context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strconv.Itoa(a.noted), nil
}

// AnnotationsOfOther implements storage.Sharer.
func (a *account) AnnotationsOfOther(_ context.Context, id string) (storage.Annotations, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if notes := a.others[id]; notes != nil {
		return maps.Clone(*notes), nil
	}
	return nil, nil
}

// AnnotateOther implements storage.Sharer.
func (a *account) AnnotateOther(_ context.Context, id string, set map[string]*string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.others == nil {
		a.others = map[string]*storage.Annotations{}
	}
	if a.others[id] == nil {
		a.others[id] = &storage.Annotations{}
	}
	a.noted++
	return annotate(a.others[id], set)
}

// annotate sets annotations, all or none.
func annotate(notes *storage.Annotations, set map[string]*string) error {
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
