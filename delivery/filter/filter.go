package filter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/sieve"
	"gomaild/storage"
)

// The names in an account's directory.
const (
	defaultScript = ".dovecot.sieve"
	defaultDir    = ".sieve" // Config.Dir
	seenFile      = ".gomaild.sieve-seen"
)

// Config is what a Filter is made of. FS and Home are required.
type Config struct {
	FS   durable.FS // the mail root
	Root string     // its absolute path, for links that hold it
	// UID and GID own what is written; -1: nobody is named, it is ours. The zero
	// values are root, as in the configuration of the store.
	UID, GID int
	// Home is the directory of an account below FS.
	Home func(o storage.Owner) (string, error)
	// Before, Default and After are scripts of the administrator, below FS:
	// Before run first, Default where the user has none, After last.
	Before, After []string
	Default       string
	Dir           string // of a user's scripts in the account's directory, default ".sieve"
	Global        string // directory of include :global, below FS
	Off           []string
	// Program runs the programs of the extensions in Programs, nil: there are none.
	// Reserved are extensions for the administrator's scripts alone: Before,
	// Default, After, those of Global and of IMAP.Rules.
	Program            func(ctx context.Context, p sieve.Program) ([]byte, error)
	Programs, Reserved []string
	IMAP               IMAP // what runs at events of IMAP, default nothing
	NoScripts          bool // run none: nothing but vacations
	Delimiter          string
	Spam, Virus        sieve.Scanner // what spamtest and virustest read
	// Hostname and Version are items of the environment test.
	Hostname, Version string
	// Submit makes a message durable in the queue. nil: nothing can be sent; a
	// redirect keeps the message, and an answer is not sent, both logged. about is
	// the id in the log of the message that is the reason.
	Submit func(ctx context.Context, about string, from mail.ReversePath, to []mail.Address, content message.Content) error
	// Vacations knows the vacations set in PostfixAdmin; nil: nobody is away.
	Vacations accounts.Vacations
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger     // default none
}

// Filter is a local.Filter.
type Filter struct {
	Config
	engine *sieve.Engine
	imap   *sieve.Engine
	cache  cache

	mu    sync.Mutex
	homes map[string]*home // those in use now
}

// New makes a Filter.
func New(c Config) *Filter {
	if c.Dir == "" {
		c.Dir = defaultDir
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	sc := sieve.Config{
		Off: c.Off, Delimiter: c.Delimiter, Spam: c.Spam, Virus: c.Virus, Version: c.Version,
		Programs: c.Programs, Reserved: c.Reserved,
	}
	f := &Filter{Config: c, engine: sieve.New(sc), homes: map[string]*home{}}
	sc.Place = sieve.InIMAP
	f.imap = sieve.New(sc)
	return f
}

// Filter implements local.Filter.
func (f *Filter) Filter(ctx context.Context, q local.Question) (local.Verdict, error) {
	dir, err := f.Home(storage.Owner{Address: q.Recipient.Mailbox.Address, Maildir: q.Recipient.Mailbox.Maildir})
	if err != nil {
		return local.Verdict{}, err
	}
	log := f.Logger.With("account", q.Recipient.Mailbox.Address.String())
	if q.ID != "" {
		log = log.With("id", q.ID)
	}
	r := &run{Filter: f, q: q, dir: dir, log: log}
	scripts := r.scripts(ctx)
	r.askVacation(ctx)
	if len(scripts) == 0 && r.away == nil {
		return local.Verdict{Stores: []local.Store{{}}}, nil
	}
	v, err := r.decide(ctx, scripts)
	if err != nil || !r.remembers {
		r.forget()
		return v, err
	}
	v.Close = r.forget
	return v, nil
}

// home is the memory of one account. Its lock is held from when a message of the
// account first asks it and, if the message is to be remembered, until it is: two
// copies at once are not both the first, nor answered both. Most scripts never
// ask: then there is nothing to wait for and nothing to read. Programs are run
// with it, so that one account never has more than one of those there may be.
type home struct {
	sync.Mutex
	users int
}

func (f *Filter) lock(dir string) *home {
	f.mu.Lock()
	h := f.homes[dir]
	if h == nil {
		h = &home{}
		f.homes[dir] = h
	}
	h.users++
	f.mu.Unlock()
	h.Lock()
	return h
}

func (f *Filter) unlock(dir string, h *home) {
	h.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(f.homes, dir)
	}
}

// memory is what vacation and duplicate remember, locked until forget.
func (r *run) memory() (*seen, error) {
	r.hold()
	if r.seen == nil {
		s, err := loadSeen(r.FS, r.dir, r.Now())
		if err != nil {
			return nil, err
		}
		r.seen = s
	}
	return r.seen, nil
}

// hold lets other messages of the account wait until forget.
func (r *run) hold() {
	if r.home == nil {
		r.home = r.lock(r.dir)
	}
}

// forget lets others have the memory.
func (r *run) forget() {
	if r.home != nil {
		r.unlock(r.dir, r.home)
	}
	r.home, r.seen = nil, nil
}

// write replaces a file of an account and gives it to the owner of the mail.
func (f *Filter) write(name string, data []byte) error {
	if err := durable.WriteFile(f.FS, name, data, 0o600); err != nil || f.UID < 0 && f.GID < 0 {
		return err
	}
	return f.FS.Chown(name, f.UID, f.GID)
}

// run is one message for one recipient.
type run struct {
	*Filter
	q    local.Question
	dir  string
	log  *slog.Logger
	away *accounts.Vacation // nil: the user is not
	home *home              // locked, nil: nothing of it was asked
	seen *seen              // of home, nil: not read
	own  version            // of the user's script, as it was found; zero: not there

	remembers bool // Done will write to seen
}

func (r *run) decide(ctx context.Context, scripts []*sieve.Script) (local.Verdict, error) {
	env := r.env(ctx)
	result, err := r.engine.Run(ctx, env, scripts...)
	if fault, ok := errors.AsType[*sieve.RuntimeError](err); ok && fault.Temporary {
		return local.Verdict{}, err
	}
	if err != nil {
		r.complain(ctx, err.Error())
	}
	for _, p := range result.Problems {
		r.complain(ctx, p.String())
	}
	return r.act(ctx, env, result)
}

func addressOrNothing(a mail.Address) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}

// act carries out the result up to the stores, which are delivery's.
func (r *run) act(ctx context.Context, env *sieve.Env, result *sieve.Result) (local.Verdict, error) {
	var v local.Verdict
	if !r.pipe(ctx, env, result) {
		result = &sieve.Result{ImplicitKeep: true}
	}
	r.report(ctx, result)
	keep := result.ImplicitKeep
	flags := result.Flags
	var answers []*sieve.Vacation
	var notes []sieve.Action
	for _, a := range result.Actions {
		switch a.Kind {
		case sieve.Reject:
			return v, r.reject(ctx, env, a)
		case sieve.Keep:
			r.put(&v, store("", a.Flags, a.Content), a.HasFlags)
		case sieve.FileInto:
			r.put(&v, store(r.folder(ctx, a), a.Flags, a.Content), a.HasFlags)
		case sieve.VacationReply:
			answers = append(answers, a.Vacation)
		case sieve.Notify, sieve.SendReport:
			notes = append(notes, a)
		case sieve.Redirect:
			sent, err := r.redirect(ctx, a)
			if err != nil {
				return v, err
			}
			keep = keep || !sent
		}
	}
	if keep {
		r.put(&v, store("", flags, result.Content), len(flags) > 0)
	}
	if away := r.vacation(env, len(v.Stores) > 0 && len(answers) == 0); away != nil {
		answers = append(answers, away)
	}
	if r.remembers = len(result.Marks) > 0 || len(answers) > 0; r.remembers {
		if _, err := r.memory(); err != nil {
			return v, err
		}
	}
	v.Done = func(ctx context.Context) { r.done(ctx, env, result.Marks, answers); r.notify(ctx, env, notes) }
	return v, nil
}

// maxReport bounds what the log says of a result, in octets: a script chooses it.
const maxReport = 500

// report is the line of the log about a result that is more than to keep the
// message.
func (r *run) report(ctx context.Context, result *sieve.Result) {
	var said []string
	for _, a := range result.Actions {
		if a.Kind != sieve.Keep || a.HasFlags {
			said = append(said, a.String())
		}
	}
	switch {
	case len(result.Actions) == 0 && !result.ImplicitKeep:
		said = []string{"discard"}
	case len(said) == 0:
		return
	}
	text := strings.Join(said, "; ")
	if len(text) > maxReport {
		text = strings.ToValidUTF8(text[:maxReport], "") + " ..."
	}
	r.log.InfoContext(ctx, mail.EventFiltered, "to", r.q.Recipient.Mailbox.Address.String(), "actions", text)
}

// put stores the message once in each mailbox (RFC 5228 section 2.10.3), with the
// flags that were said last.
func (r *run) put(v *local.Verdict, s local.Store, hasFlags bool) {
	kept := cmp.Or(r.q.Recipient.Folder, "INBOX")
	for i, old := range v.Stores {
		if cmp.Or(old.Folder, kept) != cmp.Or(s.Folder, kept) {
			continue
		}
		if hasFlags {
			v.Stores[i].Flags, v.Stores[i].Keywords = s.Flags, s.Keywords
		}
		return
	}
	v.Stores = append(v.Stores, s)
}

// reject refuses the message (RFC 5429): in the session, or with a notification
// where the reason must not lose its letters. Then the message is discarded.
func (r *run) reject(ctx context.Context, env *sieve.Env, a sieve.Action) error {
	if !a.Reported || r.Submit == nil {
		return refusal(a.Reason)
	}
	o, err := a.Refusal(env)
	if err != nil || o == nil {
		return err
	}
	to, err := mail.ParseAddress(o.To[0])
	if err != nil {
		return err
	}
	return r.Submit(ctx, r.q.ID, r.from(mail.Address{}), []mail.Address{to}, bytes.NewReader(o.Content))
}

// maxRefusal is how much of a reason a reply repeats, in octets.
const maxRefusal = 2000

// refusal is RFC 5429 section 2.5: a reply with a line for each of the reason.
func refusal(reason string) error {
	text := strings.TrimSpace(strings.ReplaceAll(reason, "\r\n", "\n"))
	if len(text) > maxRefusal {
		text = strings.ToValidUTF8(text[:maxRefusal], "")
	}
	if text == "" {
		text = "Refused by the recipient"
	}
	return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: text, Cause: local.ErrRefused}
}

// store maps flags (RFC 5232) to the store's.
func store(folder string, flags []string, c message.Content) local.Store {
	s := local.Store{Folder: folder, Content: c}
	if strings.EqualFold(folder, "INBOX") {
		s.Folder = "INBOX"
	}
	for _, f := range flags {
		if bit := systemFlag(f); bit != 0 {
			s.Flags |= bit
			continue
		}
		s.Keywords = append(s.Keywords, f)
	}
	return s
}

// flagName is a system flag as scripts name it.
type flagName struct {
	name string
	bit  storage.SystemFlag
}

func systemFlags() []flagName {
	return []flagName{
		{`\Seen`, storage.Seen}, {`\Answered`, storage.Answered}, {`\Flagged`, storage.Flagged}, {`\Deleted`, storage.Deleted}, {`\Draft`, storage.Drafted},
	}
}

// systemFlag is the flag of a name, 0 for a keyword.
func systemFlag(name string) storage.SystemFlag {
	for _, f := range systemFlags() {
		if strings.EqualFold(f.name, name) {
			return f.bit
		}
	}
	return 0
}
