package receive

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
	"gomaild/policy"
	"gomaild/policy/rate"
)

// TestFrom holds whose address the From of a user's message may show.
func TestFrom(t *testing.T) {
	t.Parallel()
	const refused = "550 5.7.1 From address rejected: not owned by user alice@example.org"
	for _, tt := range []struct {
		rule, header string
		down, off    bool
		want         string
	}{
		{"the login's own", "From: Alice <alice@example.org>\r\n", false, false, "250"},
		{"one that it may use", "From: sales@example.org\r\n", false, false, "250"},
		{"somebody else's", "From: bob@example.org\r\n", false, false, refused},
		{"behind one that is its own", "From: alice@example.org, boss@far.test\r\nSender: alice@example.org\r\n", false, false, refused},
		{"in a group", "From: us: boss@far.test;\r\n", false, false, refused},
		{"in a second field", "From: alice@example.org\r\nfrom: boss@far.test\r\n", false, false, refused},
		{"folded", "From:\r\n\t\"Boss\"\r\n\t<boss@far.test>\r\n", false, false, refused},
		{"no address", "From: \"a b\"@-\r\n", false, false, refused},
		{"no domain", "From: alice\r\n", false, false, "250"},
		{"no From", "", false, false, "250"},
		{"more than anybody is", "From: " + strings.Repeat("alice@example.org, ", 30) + "alice@example.org\r\n", false, false, "550 5.7.1 From has too many addresses"},
		{"not checked", "From: bob@example.org\r\n", false, true, "250"},
		{"the database is down", "From: alice@example.org\r\n", true, false, "451 4.3.0 Temporary lookup failure"},
	} {
		b := newBench()
		b.config.CheckFrom = !tt.off
		tx, err := NewSubmission(b.config).Begin(t.Context(), loggedIn("alice@example.org", true), mail.ReversePath{Address: address("alice@example.org")})
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.AddRecipient(t.Context(), mail.Recipient{Address: address("carol@example.org")}); err != nil {
			t.Fatal(err)
		}
		b.down = tt.down
		if got := reply(tx.Commit(t.Context(), strings.NewReader(tt.header+"\r\nx\r\n"))[0]); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
}

// TestBrakes holds that users are held to their rates, and trusted hosts that
// need no login each to the same.
func TestBrakes(t *testing.T) {
	t.Parallel()
	b := newBench()
	one := []rate.Limit{{N: 1, Per: time.Hour}}
	b.config.Brakes = &policy.Brakes{Messages: one, Table: rate.NewTable(0)}
	r := NewSubmission(b.config)
	const held = "450 4.7.1 Rate limit exceeded: come again in "
	to := []string{"bob@example.org", "carol@example.org"}
	alice := loggedIn("alice@example.org", true)
	if got := session(t, r, alice, "alice@example.org", to, hello); !slices.Equal(got, []string{"250", "250", "250", "250", "250"}) {
		t.Errorf("the first message: %q", got)
	}
	if got := session(t, r, alice, "alice@example.org", to, hello); len(got) != 1 || !strings.HasPrefix(got[0], held) {
		t.Errorf("the second message: %q", got)
	}
	if !strings.Contains(b.log.String(), "level=WARN msg=deferred session=S1 ") || !strings.Contains(b.log.String(), "account=alice@example.org stage=mail status=\"450 4.7.1\"") ||
		!strings.Contains(b.log.String(), "check=account_message_rate") {
		t.Errorf("the log says\n%s", &b.log)
	}
	b.config.Brakes = &policy.Brakes{Recipients: one, Table: rate.NewTable(0)}
	got := session(t, NewSubmission(b.config), alice, "alice@example.org", to, hello)
	if len(got) != 4 || got[1] != "250" || !strings.HasPrefix(got[2], held) || got[3] != "250" {
		t.Errorf("the second recipient: %q", got)
	}
	for i := range 3 {
		got := session(t, trustedSubmission(b.config), client, "s@r.test", to[:1], hello)
		if wasHeld := strings.HasPrefix(got[1], held); wasHeld != (i > 0) {
			t.Errorf("a trusted host, message %d: %q", i, got)
		}
	}
}

// TestShowClient holds that Received tells where a user was only if that is
// wanted.
func TestShowClient(t *testing.T) {
	t.Parallel()
	for _, show := range []bool{false, true} {
		b := newBench()
		b.config.ShowClient = show
		session(t, NewSubmission(b.config), loggedIn("alice@example.org", true), "alice@example.org", []string{"bob@example.org"}, hello)
		got := b.got["bob@example.org"][0]
		if strings.Contains(got, "192.0.2.7") != show || strings.Contains(got, "client.test") != show || !strings.Contains(got, "by mx.example.org with ESMTPSA") {
			t.Errorf("show_client=%v: %q", show, got)
		}
		if !strings.Contains(b.log.String(), "client=192.0.2.7") {
			t.Errorf("the log does not say where the message came from:\n%s", &b.log)
		}
	}
}
