package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpus makes messages as people send them: answers that refer to others,
// encoded names and subjects, alternatives, attachments, mailing lists. The same
// number gives the same message every time.
type corpus struct {
	rand *rand.Rand
	ids  []string
}

var corpusWords = strings.Fields(`the budget meeting on Thursday was moved to the larger room because more people want to
come than we thought please bring the numbers of last quarter and a list of open questions if you cannot attend send
somebody who knows the project we also need a decision about the new supplier their offer is attached regards invoice
delivery schedule contract review draft server backup holiday office kitchen printer password travel train hotel`)

var corpusNames = []string{"Alice Example", "Bob Builder", "=?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?=", "\"Doe, Jane\"", "Support", "=?iso-8859-1?Q?Ren=E9?= Dupont", "Zoe"}

func newCorpus() *corpus { return &corpus{rand: rand.New(rand.NewPCG(1, 2))} }

func (c *corpus) words(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = corpusWords[c.rand.IntN(len(corpusWords))]
	}
	return strings.Join(words, " ")
}

func (c *corpus) address() string {
	n := c.rand.IntN(400)
	return fmt.Sprintf("%s <user%d@host%d.example>", corpusNames[n%len(corpusNames)], n, n%23)
}

// text is about size octets in lines of 60 to 75.
func (c *corpus) text(size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(c.words(9 + c.rand.IntN(4)))
		b.WriteByte('\n')
	}
	return b.String()
}

// message is the next message, with LF line ends, and when it was sent.
func (c *corpus) message() (string, time.Time) {
	n := len(c.ids)
	at := time.Unix(1_600_000_000, 0).Add(time.Duration(n) * 7 * time.Minute)
	id := fmt.Sprintf("<%d.%x@host%d.example>", n, c.rand.Uint64(), n%17)
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <user%d@host.example>\nDelivered-To: bob@example.test\n", n%400)
	fmt.Fprintf(&b, "Received: from relay%d.example (relay%d.example [192.0.2.%d])\n\tby mail.example.test (Postfix) with ESMTPS id %X\n\tfor <bob@example.test>; %s\n", n%9, n%9, n%250, c.rand.Uint64(), at.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=host%d.example; s=s1;\n\th=from:to:subject:date; bh=%s;\n\tb=%s\n", n%23, base64.StdEncoding.EncodeToString([]byte(c.words(5))), strings.Repeat("Qm9ndXMgc2lnbmF0dXJl", 8))
	fmt.Fprintf(&b, "Date: %s\nFrom: %s\nTo: %s", at.In(time.FixedZone("", 3600*(n%5))).Format(time.RFC1123Z), c.address(), c.address())
	for range c.rand.IntN(3) {
		fmt.Fprintf(&b, ",\n\t%s", c.address())
	}
	subject := c.words(3 + c.rand.IntN(5))
	if n%11 == 0 {
		subject = "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte("Prüfung: "+c.words(2))) + "?="
	}
	if n > 0 && c.rand.IntN(2) == 0 {
		back := min(n, 1+c.rand.IntN(200))
		parent := c.ids[n-back]
		subject = "Re: " + subject
		fmt.Fprintf(&b, "\nIn-Reply-To: %s\nReferences: %s", parent, parent)
		if n-back > 10 {
			fmt.Fprintf(&b, "\n\t%s", c.ids[n-back-7])
		}
	}
	fmt.Fprintf(&b, "\nSubject: %s\nMessage-ID: %s\nMIME-Version: 1.0\nUser-Agent: Sample/%d.0\n", subject, id, n%7)
	if n%6 == 0 {
		fmt.Fprintf(&b, "List-Id: <list%d.example>\nList-Post: <mailto:list%d@example>\nList-Unsubscribe: <mailto:leave%d@example>\nPrecedence: list\n", n%5, n%5, n%5)
	}
	if n%29 == 0 {
		b.WriteString("X-Priority: 1\n")
	}
	c.body(&b, n)
	c.ids = append(c.ids, id)
	return b.String(), at
}

func (c *corpus) body(b *strings.Builder, n int) {
	size := 600 + c.rand.IntN(2200)
	switch {
	case n%10 < 4:
		fmt.Fprintf(b, "Content-Type: text/plain; charset=utf-8; format=flowed\nContent-Transfer-Encoding: 8bit\n\n%sGrüße\n", c.text(size))
	case n%10 < 8:
		boundary := fmt.Sprintf("=_alt_%d", n)
		fmt.Fprintf(b, "Content-Type: multipart/alternative;\n\tboundary=\"%s\"\n\n--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n%s\n--%s\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<html><body><p>%s</p></body></html>\n\n--%s--\n", boundary, boundary, c.text(size/2), boundary, c.text(size), boundary)
	default:
		boundary := fmt.Sprintf("=_mixed_%d", n)
		fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\n\n--%s\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 7bit\n\n%s\n--%s\nContent-Type: application/pdf; name=\"report %d.pdf\"\nContent-Disposition: attachment; filename=\"report %d.pdf\"; size=%d\nContent-Transfer-Encoding: base64\n\n", boundary, boundary, c.text(size), boundary, n, n, size)
		encoded := base64.StdEncoding.EncodeToString([]byte(c.text(size)))
		for ; len(encoded) > 76; encoded = encoded[76:] {
			b.WriteString(encoded[:76] + "\n")
		}
		fmt.Fprintf(b, "%s\n\n--%s--\n", encoded, boundary)
	}
}

// makeMaildir fills a Maildir with n messages of the corpus, with flags and
// arrival times, in the names that Dovecot gives them. It is left as it is if it
// is there already.
func makeMaildir(tb testing.TB, dir string, n int) {
	tb.Helper()
	done := filepath.Join(dir, "..", filepath.Base(dir)+".made")
	if text, err := os.ReadFile(done); err == nil && string(text) == fmt.Sprint(n) {
		return
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	c := newCorpus()
	for i := range n {
		text, at := c.message()
		wire := len(text) + strings.Count(text, "\n")
		flags := ""
		for f, letter := range []string{"F", "R", "S", "T"} {
			if c.rand.IntN([]int{20, 6, 2, 100}[f]) == 0 {
				flags += letter
			}
		}
		name := filepath.Join(dir, "cur", fmt.Sprintf("%d.M%06dP%d.mail,S=%d,W=%d:2,%s", at.Unix(), i, 1000+i%900, len(text), wire, flags))
		writeFile(tb, name, text)
		if err := errors.Join(ownByNobody(name), os.Chtimes(name, at, at)); err != nil {
			tb.Fatal(err)
		}
	}
	writeFile(tb, done, fmt.Sprint(n))
}

// ownByNobody lets Dovecot read a file, which refuses to work as root.
func ownByNobody(name string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(name, nobody, nobody)
}
