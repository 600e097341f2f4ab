package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// deflated is text in the standard library's compression of a level.
func deflated(t testing.TB, text []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCopy holds that what the standard library compresses comes back.
func TestCopy(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	words := bytes.Repeat([]byte("a word and another; "), 20_000)
	mixed := append(append(append([]byte{}, noise[:40_000]...), words[:90_000]...), noise[:50_000]...)
	for name, text := range map[string][]byte{
		"nothing": nil, "one": []byte("x"), "noise": noise, "words": words, "zeros": make([]byte, 1<<20), "mixed": mixed,
	} {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			var got bytes.Buffer
			if err := Copy(&got, bytes.NewReader(deflated(t, text, level))); err != nil || !bytes.Equal(got.Bytes(), text) {
				t.Errorf("%s, level %d: %d octets of %d, %v", name, level, got.Len(), len(text), err)
			}
		}
	}
}

// TestPartialFlush holds that what zlib wrote up to a Z_PARTIAL_FLUSH is given
// out while the connection stays open: a few commands, then twenty in one.
func TestPartialFlush(t *testing.T) {
	t.Parallel()
	var twenty strings.Builder
	for i := 1; i <= 20; i++ {
		twenty.WriteString(strings.ReplaceAll("# UID FETCH # (INTERNALDATE BODY.PEEK[])\r\n", "#", string(rune('A'+i))))
	}
	client, server := net.Pipe()
	out, in := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Copy(in, server) }()
	for _, step := range []struct{ text, wire string }{
		{"a NOOP\r\n", partial[0]}, {"b SELECT \"INBOX\"\r\n", partial[1]}, {twenty.String(), partial[2]}, {"c LOGOUT\r\n", partial[3]},
	} {
		raw, err := hex.DecodeString(step.wire)
		if err != nil {
			t.Fatal(err)
		}
		go client.Write(raw)
		got := make([]byte, len(step.text))
		_ = out.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := io.ReadFull(out, got); err != nil || string(got) != step.text {
			t.Fatalf("%d octets of %d, %v: %q", n, len(step.text), err, got[:n])
		}
	}
	client.Close()
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end of the connection: %v", err)
	}
}

// TestCorrupt holds what is refused.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string]string{
		"an unknown block":              "07",
		"a stored length that is wrong": "0101000000",
		"a reference to nothing":        "0302",
		"incomplete lengths":            "0500000000000000000000",
	} {
		raw, err := hex.DecodeString(wire)
		if err != nil {
			t.Fatal(err)
		}
		if err := Copy(io.Discard, bytes.NewReader(raw)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := deflated(t, []byte(strings.Repeat("some text ", 100)), flate.BestCompression)
	for n := range whole {
		if err := Copy(io.Discard, bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d octets: %v", n, err)
		}
	}
	if err := Copy(errorWriter{}, bytes.NewReader(whole)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of the writer: %v", err)
	}
}

type errorWriter struct{}

func (errorWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzCopy holds that any input is decompressed as the standard library does, or
// refused by both.
func FuzzCopy(f *testing.F) {
	f.Add(deflated(f, []byte("some text, some text"), flate.BestCompression))
	f.Add(deflated(f, []byte("stored"), flate.NoCompression))
	f.Add([]byte{3, 2})
	f.Fuzz(func(t *testing.T, wire []byte) {
		const most = 1 << 20
		var got bytes.Buffer
		err := Copy(&limited{&got, most}, bytes.NewReader(wire))
		if errors.Is(err, errTooMuch) {
			return
		}
		want, stdErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(wire)), most))
		if (err == nil) != (stdErr == nil) {
			t.Fatalf("%v, the standard library: %v", err, stdErr)
		}
		if err == nil && !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%q, the standard library: %q", got.Bytes(), want)
		}
	})
}

var errTooMuch = errors.New("too much")

type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooMuch
	}
	return l.w.Write(p)
}

func BenchmarkCopy(b *testing.B) {
	wire := deflated(b, bytes.Repeat([]byte("From: somebody@example.org\r\nSubject: a line of text\r\n"), 5000), flate.DefaultCompression)
	b.SetBytes(5000 * 54)
	for b.Loop() {
		if err := Copy(io.Discard, bytes.NewReader(wire)); err != nil {
			b.Fatal(err)
		}
	}
}

// partial is what zlib 1.2 wrote at level 6, a partial flush after each step.
var partial = [...]string{
	"4a54f0f3f70fe0e50208",
	"a0248560571f57e71005254f3f27ff08255e2e8000",
	"7cca311283201005d03e33b903a569bc83b08b200888503899dcff1a697ff55ffdac99518cd7e182b1668965682f5b966da8" +
		"b1559eb5a9a6efeff37e39988e4e8129742a4ca5d3c3f474ee30773a03cc40678419e93c601e74269889ce0c33d379c23ce9" +
		"2c300b9d1566a5b3c16c745e302f3a3bcc4ee70df3a673c01c744e9893cebf00",
	"4a56f0f177f70f0de1e50208",
}

// TestCopyRest holds that what comes behind a stream is given back, whether it has
// a last block or ended with a flush, and only as far as it is sure.
func TestCopyRest(t *testing.T) {
	t.Parallel()
	flushed := func(texts ...string) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		stream     []byte
		rest, want string
	}{
		"a last block":              {deflated(t, []byte("text"), 6), "a LOGIN x y\r\n", "a LOGIN x y\r\n"},
		"a last block, nothing":     {deflated(t, []byte("text"), 6), "", ""},
		"a flush":                   {flushed("one", "two"), "a LOGIN x y\r\n", "a LOGIN x y\r\n"},
		"a flush, nothing":          {flushed("one", "two"), "", ""},
		"a flush, and much":         {flushed("one"), strings.Repeat("a NOOP\r\n", 4096), strings.Repeat("a NOOP\r\n", 4096)},
		"no flush: what was waited": {nil, "", ""},
	} {
		got, _ := CopyRest(io.Discard, bytes.NewReader(append(c.stream, c.rest...)))
		if !strings.HasPrefix(c.want, string(got)) || len(got) < min(len(c.want), 4096-len(c.stream)) {
			t.Errorf("%s: %d octets, %.60q", name, len(got), got)
		}
	}
}
