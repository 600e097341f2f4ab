package ocf

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gosmtp "github.com/emersion/go-smtp"

	"gomaild/cluster/control"
)

// throughPatience is for all of level 20: a server that is well takes a fraction of
// a second, and one that asks a database in vain a few.
const throughPatience = 12 * time.Second

// through is level 20: the database answers, and a message to the probe account
// comes in by LMTP and out by IMAP. A database that does not answer is no failure
// while the node's copy of the accounts does: no other node has a better one, and
// pacemaker would move the mail about until all nodes had failed.
func (a *agent) through(ctx context.Context, s Server, status control.Status) error {
	ctx, cancel := context.WithTimeout(ctx, throughPatience)
	defer cancel()
	if _, err := s.client().Ask(ctx, control.PathProbeDatabase); err != nil {
		if status.Snapshot == nil || !status.Snapshot.Usable {
			return fmt.Errorf("the database: %w", err)
		}
		fmt.Fprintf(a.Err, "gomaild: the copy of the accounts answers in place of the database: %v\n", err)
	}
	if a.probeAccount == "" {
		return nil
	}
	password, err := os.ReadFile(a.probePasswordIn)
	if err != nil {
		return &failure{ErrArgs, err}
	}
	first, _, _ := strings.Cut(string(password), "\n")
	id := "<" + strings.ToLower(rand.Text()) + "@probe.gomaild.invalid>"
	if err := a.sendProbe(ctx, status, id); err != nil {
		return fmt.Errorf("send a probe by LMTP: %w", err)
	}
	if err := a.readProbe(ctx, status, strings.TrimSuffix(first, "\r"), id); err != nil {
		return fmt.Errorf("read a probe by IMAP: %w", err)
	}
	return nil
}

// listenerOf is the first that speaks a protocol in one of the ways.
func listenerOf(status control.Status, kind string, tls ...string) (control.Listener, error) {
	for _, way := range tls {
		for _, l := range status.Listeners {
			if l.Type == kind && l.TLS == way {
				return l, nil
			}
		}
	}
	return control.Listener{}, failed(ErrConfigured, "there is no listener for %s, which probe_account needs", kind)
}

func (a *agent) sendProbe(ctx context.Context, status control.Status, id string) error {
	l, err := listenerOf(status, "lmtp", "none", "starttls", "implicit")
	if err != nil {
		return err
	}
	conn, err := dial(ctx, l)
	if err != nil {
		return err
	}
	c := gosmtp.NewClientLMTP(conn)
	defer c.Close()
	text := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: %s\r\nDate: %s\r\nAuto-Submitted: auto-generated\r\n\r\nMay be deleted.\r\n",
		a.probeAccount, a.probeAccount, probeSubject, id, time.Now().Format(time.RFC1123Z))
	return c.SendMail("", []string{a.probeAccount}, bytes.NewReader([]byte(text)))
}

// probeSubject is that of every probe, so that those which an earlier monitor
// could not delete are found.
const probeSubject = "gomaild probe"

func (a *agent) readProbe(ctx context.Context, status control.Status, password, id string) error {
	l, err := listenerOf(status, "imap", "implicit", "starttls", "none")
	if err != nil {
		return err
	}
	conn, err := dial(ctx, l)
	if err != nil {
		return err
	}
	options := &imapclient.Options{TLSConfig: ownServer()}
	var c *imapclient.Client
	if l.TLS == "starttls" {
		c, err = imapclient.NewStartTLS(conn, options)
	} else {
		c = imapclient.New(conn, options)
	}
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer c.Close()
	if err := c.Login(a.probeAccount, password).Wait(); err != nil {
		return err
	}
	return takeProbe(c, id)
}

// takeProbe finds the message and deletes it, and what is left of earlier ones.
func takeProbe(c *imapclient.Client, id string) error {
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	header := func(key, value string) *imap.SearchCriteria {
		return &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: key, Value: value}}}
	}
	found, err := c.UIDSearch(header("Message-ID", id), nil).Wait()
	if err != nil {
		return err
	}
	if len(found.AllUIDs()) != 1 {
		return fmt.Errorf("found %d messages with %s in INBOX, not 1", len(found.AllUIDs()), id)
	}
	all, err := c.UIDSearch(header("Subject", probeSubject), nil).Wait()
	if err != nil {
		return err
	}
	uids := imap.UIDSetNum(all.AllUIDs()...)
	if err := c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	if err := c.UIDExpunge(uids).Close(); err != nil {
		return err
	}
	return c.Logout().Wait()
}
