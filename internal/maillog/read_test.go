package maillog

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gomaild/mail"
)

// TestRead holds that what is written is read back, whatever is in it.
func TestRead(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "plain", "two words", `"quoted"`, "a=b", "new\nline", "\x00\xff", "ü", `\`, "{"} {
		var text, json bytes.Buffer
		for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&json, nil))} {
			log.Info(mail.EventLoginRefused, "k", value, "n", 7)
		}
		for _, line := range []string{text.String(), json.String()} {
			e, ok := Read(line)
			want := value
			if line == json.String() {
				want = strings.ToValidUTF8(value, "\uFFFD")
			}
			if !ok || e.Event != mail.EventLoginRefused || e.Level != "INFO" || e.Time == "" || e.Get("k") != want || e.Get("n") != "7" {
				t.Errorf("%q: %+v, %v", line, e, ok)
			}
		}
	}
	e, ok := Read("Nov 27 15:00:20 mail postfix/smtp[12]: AB_1: to=<b@y.test>, relay=mx, status=sent (250)\n")
	if want := "{Nov 27 15:00:20  postfix/smtp AB_1: to=<b@y.test>, relay=mx, status=sent (250) [{id AB_1} {to b@y.test}]}"; !ok || fmt.Sprint(e) != want {
		t.Errorf("%v %v", e, ok)
	}
}

// TestStoryBounds holds that neither a line nor a question takes memory without
// end.
func TestStoryBounds(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("time=T msg=x id=1 to=a@x.test k=" + strings.Repeat("y", maxLine) + "\n")
	for i := range maxIDs + 10 {
		fmt.Fprintf(&b, "time=T msg=x id=n%d to=b@x.test\n", i)
	}
	b.WriteString("time=T msg=x id=last to=a@x.test")
	s := NewStory("a@x.test")
	if learned, err := s.Find(strings.NewReader(b.String())); err != nil || !learned || len(s.ids) != 1 || !s.ids["last"] {
		t.Errorf("%v, %v, %v", learned, err, s.ids)
	}
	s = NewStory("b@x.test")
	if _, err := s.Find(strings.NewReader(b.String())); err != nil || len(s.ids) != maxIDs {
		t.Errorf("%d ids, %v", len(s.ids), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`time=T level=INFO msg="login refused" k="a\"b" n=7`)
	f.Add(`{"time":"T","msg":"x","k":{"a":[1]},"n":7}`)
	f.Add("Nov 27 15:00:20 mail postfix/smtp[12]: AB: to=<b@y.test>, relay=mx")
	f.Add(`time="`)
	f.Add(`{"msg"`)
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := Read(line)
		if ok && e.Event == "" {
			t.Errorf("an entry without a name: %q", line)
		}
	})
}
