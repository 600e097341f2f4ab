package maillog

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
)

// maxLine bounds a line that is looked at, in octets; longer ones are passed
// over.
const maxLine = 1 << 20

// maxIDs bounds the messages whose stories are looked for at a time.
const maxIDs = 10_000

// Story looks for what happened to messages. Find goes over the log and learns
// which messages are meant, again until it learns nothing new; Tell then gives
// their lines.
type Story struct {
	query string // folded
	id    string // the query as an id in Postfix's form
	ids   map[string]bool
}

// NewStory is about a message ID, an address, or an id of ours (of a session, a
// message or in the queue).
func NewStory(query string) *Story {
	return &Story{query: fold(query), id: postfixForm(query), ids: make(map[string]bool)}
}

func fold(s string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">"))
}

// idKeys are the fields that tell one message from another; about is the one that
// this one came of.
var idKeys = []string{"id", "queue_id", "about"}

// queryKeys are the fields that may be asked for.
var queryKeys = []string{"message_id", "from", "to", "account", "id", "queue_id", "session"}

// Find reads a log and reports whether it learned of a message.
func (s *Story) Find(r io.Reader) (learned bool, err error) {
	err = each(r, func(e *Entry) error {
		if !s.isMeant(e) {
			return nil
		}
		for _, key := range idKeys {
			if id := e.Get(key); id != "" && !s.ids[id] && len(s.ids) < maxIDs {
				s.ids[id], learned = true, true
			}
		}
		return nil
	})
	return learned, err
}

// Tell reads a log and gives each line of the story.
func (s *Story) Tell(r io.Reader, line func(e *Entry) error) error {
	return each(r, func(e *Entry) error {
		if s.isMeant(e) {
			return line(e)
		}
		return nil
	})
}

func (s *Story) isMeant(e *Entry) bool {
	return slices.ContainsFunc(e.Fields, func(f Field) bool {
		return slices.Contains(queryKeys, f.Key) && fold(f.Value) == s.query ||
			slices.Contains(idKeys, f.Key) && (f.Value == s.id || s.ids[f.Value])
	})
}

// each reads the entries of a log. What is no entry is passed over.
func each(r io.Reader, do func(e *Entry) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		if line != "" {
			if e, ok := Read(line); ok {
				if err := do(&e); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readLine is the next line, "" if it is longer than maxLine.
func readLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	tooLong := false
	for {
		part, err := in.ReadSlice('\n')
		if tooLong = tooLong || b.Len()+len(part) > maxLine; !tooLong {
			b.Write(part)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if tooLong {
			return "", err
		}
		return b.String(), err
	}
}
