package message

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// RemoveFields reads a message from r without those of its fields of the given
// name for whose text (see Field.Text) remove is true. One that is longer than
// 64 KiB is removed unasked, so memory does not depend on the message.
func RemoveFields(r io.Reader, name string, remove func(text string) bool) io.Reader {
	return &remover{src: bufio.NewReaderSize(r, 4096), name: name, remove: remove}
}

type remover struct {
	src    *bufio.Reader
	name   string
	remove func(string) bool

	rest    []byte // to be given out
	held    []byte // the present field, if it has the name
	holding bool
	inBody  bool
	inLine  bool // the last piece did not end its line
	err     error
}

// Read implements io.Reader.
func (e *remover) Read(p []byte) (int, error) {
	for len(e.rest) == 0 {
		if e.inBody {
			return e.src.Read(p)
		}
		if e.err != nil {
			return 0, e.err
		}
		e.advance()
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// advance reads the next piece of the header. A field with the name is held
// back until it is whole.
func (e *remover) advance() {
	text, err := e.src.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		e.err = err
	}
	if len(text) == 0 {
		e.rest = e.settle()
		return
	}
	pc := piece{text: text, start: !e.inLine, end: text[len(text)-1] == '\n'}
	e.inLine = !pc.end
	begins := pc.isBlank() || pc.start && text[0] != ' ' && text[0] != '\t'
	if begins {
		e.rest = e.settle()
		e.inBody = pc.isBlank() && e.err == nil
		name, _ := cutField(text)
		e.holding = !pc.isBlank() && strings.EqualFold(string(name), e.name)
	}
	switch {
	case !e.holding:
		e.rest = append(e.rest, text...)
	case len(e.held) <= maxValue:
		e.held = append(e.held, text...)
	}
	if e.err != nil {
		e.rest = append(e.rest, e.settle()...)
	}
}

// settle ends the field that is held and returns what stays of it.
func (e *remover) settle() []byte {
	held := e.held
	e.held, e.holding = nil, false
	if len(held) == 0 || len(held) > maxValue {
		return nil
	}
	_, value := cutField(held)
	if e.remove(unfold(value)) {
		return nil
	}
	return held
}
