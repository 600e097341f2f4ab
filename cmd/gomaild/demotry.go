package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gosmtp "github.com/emersion/go-smtp"

	"gomaild/daemon"
	"gomaild/internal/certs"
)

// demoPortsOf are the real ports of the demo.
type demoPortsOf struct {
	MX, MSA, MSAS, LMTP, IMAP, IMAPS int
}

func (d *demo) ports(server *daemon.Daemon) (demoPortsOf, error) {
	var p demoPortsOf
	to := map[string]*int{
		"mx starttls": &p.MX, "submission starttls": &p.MSA, "submission implicit": &p.MSAS,
		"lmtp none": &p.LMTP, "imap starttls": &p.IMAP, "imap implicit": &p.IMAPS,
	}
	for _, addr := range server.Addrs() {
		tcp, ok := addr.Addr.(*net.TCPAddr)
		if port := to[string(addr.Type)+" "+string(addr.TLS)]; ok && port != nil {
			*port = tcp.Port
		}
	}
	for name, port := range to {
		if *port == 0 {
			return p, fmt.Errorf("the listener %s is missing", name)
		}
	}
	return p, nil
}

// address is where a client connects.
func address(port int) string { return net.JoinHostPort(demoHost, strconv.Itoa(port)) }

// firstMessage sends bob's message to alice by SMTP and reads it back as alice
// by IMAP, with clients that share no code with the server.
func (d *demo) firstMessage(ctx context.Context, p demoPortsOf) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	alice, bob := demoUsers()[0], demoUsers()[1]
	id := "<" + rand.Text() + "@" + demoDomain + ">"
	text := strings.ReplaceAll(fmt.Sprintf(`From: Bob <%s>
To: Alice <%s>
Subject: The first message
Date: %s
Message-ID: %s

Hello Alice, gomaild wrote this to the disk before it said 250.
`, bob, alice, time.Now().Format(time.RFC1123Z), id), "\n", "\r\n")

	start := time.Now()
	if err := send(ctx, address(p.MX), bob.String(), alice.String(), text); err != nil {
		return fmt.Errorf("send by SMTP to %s: %w", address(p.MX), err)
	}
	took := time.Since(start)
	subject, err := d.readBack(ctx, address(p.IMAPS), alice.String(), id)
	if err != nil {
		return fmt.Errorf("read by IMAP from %s: %w", address(p.IMAPS), err)
	}
	fmt.Fprintf(d.out, "The first message arrived: sent by SMTP to %s in %v, read back by IMAP from %s: %q.\n\n",
		address(p.MX), took.Round(time.Millisecond), address(p.IMAPS), subject)
	return nil
}

// send hands one message over by SMTP.
func send(ctx context.Context, to, from, recipient, text string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := gosmtp.NewClient(conn)
	defer c.Close()
	if err := c.SendMail(from, []string{recipient}, strings.NewReader(text)); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return c.Quit()
}

// readBack logs in over TLS, trusting the demo's own certificate alone, and
// returns the subject of the message with the given Message-ID.
func (d *demo) readBack(ctx context.Context, from, user, id string) (string, error) {
	pem, err := os.ReadFile(filepath.Join(d.dir, certs.CertFile))
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return "", fmt.Errorf("%s holds no certificate", certs.CertFile)
	}
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: demoDomain, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", from)
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := imapclient.New(conn, nil)
	defer c.Close()
	subject, err := findSubject(c, user, d.passwords[demoUsers()[0]], id)
	return subject, errors.Join(err, ctx.Err())
}

func findSubject(c *imapclient.Client, user, password, id string) (string, error) {
	if err := c.Login(user, password).Wait(); err != nil {
		return "", err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return "", err
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{
		Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: id}},
	}, nil).Wait()
	if err != nil {
		return "", err
	}
	uids := found.AllUIDs()
	if len(uids) != 1 {
		return "", fmt.Errorf("%d messages with Message-ID %s, want one", len(uids), id)
	}
	messages, err := c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		return "", err
	}
	if len(messages) != 1 || messages[0].Envelope == nil {
		return "", errors.New("FETCH returned no ENVELOPE")
	}
	return messages[0].Envelope.Subject, c.Logout().Wait()
}
