package message

import (
	"bufio"
	"io"
	"strings"
)

// RemoveFields reads a message from r without those of its fields of the given
// name for whose text (see Field.Text) remove is true. One that is longer than
// 64 KiB is removed unasked, so memory does not depend on the message.
func RemoveFields(r io.Reader, name string, remove func(text string) bool) io.Reader {
	return &editor{src: bufio.NewReaderSize(r, 4096), rule: &remover{name: name, remove: remove}}
}

// remover holds a field with the name back until it is whole.
type remover struct {
	name    string
	remove  func(string) bool
	held    []byte // the present field, if it has the name
	holding bool
}

func (r *remover) piece(pc piece, begins bool) []byte {
	var out []byte
	if begins {
		out = r.end()
		name, _ := cutField(pc.text)
		r.holding = !pc.isBlank() && strings.EqualFold(string(name), r.name)
	}
	switch {
	case !r.holding && len(out) == 0:
		return pc.text
	case !r.holding:
		out = append(out, pc.text...)
	case len(r.held) <= maxValue:
		r.held = append(r.held, pc.text...)
	}
	return out
}

// end ends the field that is held and returns what stays of it.
func (r *remover) end() []byte {
	held := r.held
	r.held, r.holding = nil, false
	if len(held) == 0 || len(held) > maxValue {
		return nil
	}
	_, value := cutField(held)
	if r.remove(unfold(value)) {
		return nil
	}
	return held
}
