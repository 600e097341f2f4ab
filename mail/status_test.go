package mail

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	refused := &Status{Code: 550, Enhanced: "5.1.1", Text: "No such mailbox"}
	for _, tt := range []struct {
		rule     string
		err      error
		code     int
		enhanced string
	}{
		{"a status is itself", refused, 550, "5.1.1"},
		{"a wrapped status is found", fmt.Errorf("look up: %w", refused), 550, "5.1.1"},
		{"what is not classified is temporary", io.ErrUnexpectedEOF, 451, "4.3.0"},
	} {
		s := StatusOf(tt.err)
		if s.Code != tt.code || s.Enhanced != tt.enhanced {
			t.Errorf("%s: %v", tt.rule, s)
		}
	}
	if StatusOf(nil) != nil {
		t.Error("no error has no status")
	}
	if s := StatusOf(io.EOF); s.Text == io.EOF.Error() || !errors.Is(s, io.EOF) || !s.Temporary() {
		t.Errorf("the cause of an unclassified error is for the log alone: %v", s)
	}
	if s := refused.WithCause(io.EOF); !errors.Is(s, io.EOF) || refused.Cause != nil {
		t.Error("WithCause must copy")
	}
}

func TestNotifyString(t *testing.T) {
	t.Parallel()
	for n, want := range map[Notify]string{
		0:                           "",
		NotifyNever:                 "NEVER",
		NotifySuccess | NotifyDelay: "SUCCESS,DELAY",
	} {
		if n.String() != want {
			t.Errorf("%d prints %q, want %q", n, n, want)
		}
	}
	if (ReversePath{}).String() != "<>" || !(ReversePath{}).IsNull() {
		t.Error("the zero reverse-path is null")
	}
}
