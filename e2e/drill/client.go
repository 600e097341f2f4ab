package drill

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gosmtp "github.com/emersion/go-smtp"
)

// dial connects, with a deadline over all that follows. The connection itself has
// less time than it takes the kernel to ask once more (a second): what is measured
// is when the service is back, not when the kernel finds out.
func (r *run) dial(ctx context.Context, address string, limit time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: r.Connect}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(limit))
}

// greeting is nil if the service says 220.
func (r *run) greeting(ctx context.Context) error {
	conn, err := r.dial(ctx, r.SMTP, r.Timeout)
	if err != nil {
		return err
	}
	c := gosmtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello("drill.invalid"); err != nil {
		return err
	}
	return c.Quit()
}

// login is nil if the account is let in.
func (r *run) login(ctx context.Context) error {
	c, err := r.imapClient(ctx, r.Timeout)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Logout().Wait()
}

func (r *run) imapClient(ctx context.Context, limit time.Duration) (*imapclient.Client, error) {
	conn, err := r.dial(ctx, r.IMAPS, limit)
	if err != nil {
		return nil, err
	}
	conf := r.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(r.IMAPS)
	}
	c := imapclient.New(tls.Client(conn, conf), nil)
	if err := c.Login(r.Address, r.Password).Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// sendAll sends numbered messages, one a connection, until ctx ends. An error
// is one of the ledger.
func (r *run) sendAll(ctx context.Context) error {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for n := 1; ; n++ {
		id := fmt.Sprintf("%d.%s@drill.invalid", n, r.id)
		// A message that was begun is finished, so that its fate is known.
		if err := r.ledger.add(id, r.send(context.WithoutCancel(ctx), id)); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// send makes one try to send one message.
func (r *run) send(ctx context.Context, id string) Fate {
	conn, err := r.dial(ctx, r.SMTP, 5*r.Timeout)
	if err != nil {
		return Refused
	}
	c := gosmtp.NewClient(conn)
	defer c.Close()
	if c.Hello("drill.invalid") != nil || c.Mail(r.Sender, nil) != nil || c.Rcpt(r.Address, nil) != nil {
		return Refused
	}
	w, err := c.Data()
	if err != nil {
		return Refused
	}
	text := fmt.Sprintf("From: <drill@drill.invalid>\r\nTo: <%s>\r\nSubject: drill %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n\r\n%s\r\n",
		r.Address, id, time.Now().Format(time.RFC1123Z), id, strings.Repeat("drill ", 100))
	if _, err := w.Write([]byte(text)); err != nil {
		return Unanswered
	}
	if err := w.Close(); err != nil {
		if _, said := errors.AsType[*gosmtp.SMTPError](err); said {
			return Refused
		}
		return Unanswered
	}
	return Acknowledged
}

// mailbox counts this drill's messages in INBOX by id.
func (r *run) mailbox(ctx context.Context) (map[string]int, error) {
	c, err := r.imapClient(ctx, r.Patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{
		Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: r.id}},
	}, nil).Wait()
	if err != nil {
		return nil, err
	}
	there := map[string]int{}
	uids := found.AllUIDs()
	if len(uids) == 0 {
		return there, nil
	}
	messages, err := c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Envelope == nil {
			return nil, errors.New("FETCH returned no ENVELOPE")
		}
		there[strings.Trim(m.Envelope.MessageID, "<>")]++
	}
	return there, c.Logout().Wait()
}
