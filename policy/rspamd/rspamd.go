// Package rspamd asks a server that speaks Rspamd's protocol over HTTP
// (/checkv2) about a message that has come in whole.
//
// What the server answers is bounded, and what it wants written into a message
// cannot end its header.
package rspamd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

// Bounds of an answer.
const (
	maxAnswer = 4 << 20 // octets
	maxFields = 200
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	Address string        // "host:port"
	Timeout time.Duration // for a message; default 30 s
}

// Message is what the server is told besides the content.
type Message struct {
	ID      string
	Client  netip.Addr // zero for a unix socket
	Helo    string
	Account string // who has logged in, "" if nobody has
	From    mail.ReversePath
	To      []mail.Address
}

// Verdict is what the server wants of a message.
type Verdict struct {
	Refusal *mail.Status // the reply to the client, nil if it may pass
	Discard bool         // accept it and keep nothing
	Junk    bool

	add    []byte
	remove []string
}

// ErrProtocol is an answer that cannot be understood.
var ErrProtocol = errors.New("not an answer of rspamd")

// answer is the part of the reply that is read.
type answer struct {
	Action  string `json:"action"`
	Subject string `json:"subject"`
	DKIM    string `json:"dkim-signature"`
	Texts   struct {
		SMTP string `json:"smtp_message"`
	} `json:"messages"`
	Milter struct {
		Add    map[string]json.RawMessage `json:"add_headers"`
		Remove map[string]json.RawMessage `json:"remove_headers"`
	} `json:"milter"`
}

// Ask asks about a message. An error says that the server could not be asked.
func (c *Client) Ask(ctx context.Context, m Message, content message.Content) (Verdict, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body := message.NewWireReader(content, message.Span{Len: content.Size()})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Address+"/checkv2", body)
	if err != nil {
		return Verdict{}, fmt.Errorf("rspamd: %w", err)
	}
	m.fill(req.Header)
	var d net.Dialer
	transport := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	reply, err := transport.RoundTrip(req)
	if err != nil {
		return Verdict{}, fmt.Errorf("rspamd: %w", err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Verdict{}, fmt.Errorf("rspamd: %w", err)
	case reply.StatusCode != http.StatusOK || len(text) > maxAnswer:
		return Verdict{}, fmt.Errorf("rspamd: status %d, %d octets: %w", reply.StatusCode, len(text), ErrProtocol)
	}
	return parse(text)
}

func (m *Message) fill(h http.Header) {
	set := func(name, value string) {
		if value != "" {
			h.Add(name, oneLine(value))
		}
	}
	if m.Client.IsValid() {
		set("IP", m.Client.String())
	}
	set("Helo", m.Helo)
	set("Queue-Id", m.ID)
	set("User", m.Account)
	set("From", m.From.Address.String())
	for _, to := range m.To {
		set("Rcpt", to.String())
	}
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// parse reads an answer. An action that is not known defers, as a server that
// does not answer does.
func parse(text []byte) (Verdict, error) {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	var v Verdict
	say := func(code int, enhanced, text string) {
		if a.Texts.SMTP != "" {
			text = a.Texts.SMTP
		}
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, text[:min(len(text), 400)])
		v.Refusal = &mail.Status{Code: code, Enhanced: enhanced, Text: text}
	}
	switch a.Action {
	case "no action":
	case "greylist", "soft reject":
		say(451, "4.7.1", "Try again later")
	case "reject":
		say(554, "5.7.1", "Spam message rejected")
	case "discard":
		v.Discard = true
	case "add header", "quarantine":
		v.Junk = true
		v.put("X-Spam", "Yes")
	case "rewrite subject":
		v.Junk = true
		if a.Subject != "" {
			v.remove = append(v.remove, "Subject")
			v.put("Subject", a.Subject)
		}
	default:
		return v, fmt.Errorf("action %q: %w", a.Action, ErrProtocol)
	}
	if a.DKIM != "" {
		v.put("DKIM-Signature", a.DKIM)
	}
	for name := range a.Milter.Remove {
		if len(v.remove) < maxFields {
			v.remove = append(v.remove, name)
		}
	}
	n := 0
	for name, raw := range a.Milter.Add {
		for _, value := range values(raw) {
			if n++; n <= maxFields {
				v.put(name, value)
			}
		}
	}
	return v, nil
}

// values are those of a field: a text, {"value": text}, or a list of such.
func values(raw json.RawMessage) []string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []string{text}
	}
	var one struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(raw, &one) == nil {
		return []string{one.Value}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var all []string
	for _, r := range list[:min(len(list), maxFields)] {
		if json.Unmarshal(r, &text) == nil {
			all = append(all, text)
		} else if json.Unmarshal(r, &one) == nil {
			all = append(all, one.Value)
		}
	}
	return all
}

// put adds a field, folded where its value has lines; one whose name is none is
// left out.
func (v *Verdict) put(name, value string) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return
	}
	lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\r' || r == '\n' })
	for i := range lines {
		lines[i] = oneLine(strings.Trim(strings.ReplaceAll(lines[i], "\t", " "), " "))
	}
	v.add = append(v.add, name+": "+strings.Join(lines, "\r\n\t")+"\r\n"...)
}

// IsChanged reports that the server wants another content.
func (v *Verdict) IsChanged() bool { return len(v.add)+len(v.remove) > 0 }

// Content is the content as the server wants it, in wire form.
func (v *Verdict) Content(c message.Content) io.Reader {
	return message.EditHeader(message.NewWireReader(c, message.Span{Len: c.Size()}), bytes.Clone(v.add), v.remove...)
}
