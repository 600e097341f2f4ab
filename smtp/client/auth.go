package client

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// Auth logs in with PLAIN, or with LOGIN where the server offers only that
// (RFC 4954). Whether the connection is safe enough for a password is the
// caller's question. A refusal is the server's *mail.Status: the caller makes
// it temporary, since a wrong password of ours is no fault of the message.
func (c *Conn) Auth(ctx context.Context, name, password string) error {
	defer c.until(ctx)()
	if strings.ContainsRune(name+password, 0) {
		return errors.New("NUL in the name or password of a relay")
	}
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	for _, m := range offered {
		if m == "PLAIN" {
			return c.authenticate("AUTH PLAIN "+encode("\x00"+name+"\x00"+password), nil)
		}
	}
	for _, m := range offered {
		if m == "LOGIN" {
			return c.authenticate("AUTH LOGIN", []string{encode(name), encode(password)})
		}
	}
	return &mail.Status{Code: 454, Enhanced: "4.7.0", Text: "The next host offers neither AUTH PLAIN nor LOGIN"}
}

func (c *Conn) authenticate(line string, answers []string) error {
	r, err := c.command(c.cfg.Timeouts.Command, line)
	for _, a := range answers {
		if err != nil || r.Code != 334 {
			break
		}
		r, err = c.answer(a)
	}
	if err != nil {
		return err
	}
	if r.Code != 235 {
		return c.refused("AUTH", r)
	}
	return nil
}

func (c *Conn) answer(line string) (reply.Reply, error) {
	c.deadline(c.cfg.Timeouts.Command)
	c.put(line)
	if err := c.flush(); err != nil {
		return reply.Reply{}, err
	}
	return c.read("AUTH")
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
