package filter

import (
	"bytes"
	"context"
	"strings"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/sieve"
)

// loopField marks what was redirected, with the account that did it.
const loopField = "X-Sieve-Redirected-From"

// redirect hands the message to the queue. false: it was not sent and is to be
// kept, because nothing can be sent or it has been here before.
func (r *run) redirect(ctx context.Context, a sieve.Action) (sent bool, err error) {
	own := r.q.Recipient.Mailbox.Address.String()
	if r.Submit == nil {
		r.complain(ctx, a.Pos.String()+": error: redirect to <"+a.Address+">: this server cannot send mail; the message was kept")
		return false, nil
	}
	content := a.Content
	if content == nil {
		content = r.q.Content
	}
	for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
		if err != nil {
			return false, err
		}
		if f.Is(loopField) && strings.EqualFold(f.Text(), own) {
			r.complain(ctx, a.Pos.String()+": error: redirect to <"+a.Address+">: the message came back in a loop and was kept")
			return false, nil
		}
	}
	to, err := mail.ParseAddress(a.Address)
	if err != nil {
		r.complain(ctx, a.Pos.String()+": error: redirect: "+err.Error())
		return false, nil
	}
	marked := message.Joined{Head: []byte(loopField + ": " + own + "\r\n"), Tail: content}
	return true, r.Submit(ctx, r.q.ID, r.from(r.q.From.Address), []mail.Address{to}, marked)
}

// done remembers and answers, once the message is safe.
func (r *run) done(ctx context.Context, env *sieve.Env, marks []sieve.Mark, answers []*sieve.Vacation) {
	if len(marks) == 0 && len(answers) == 0 {
		return
	}
	s, err := r.memory()
	if err != nil {
		r.log.WarnContext(ctx, "read whom sieve answered; nothing is sent", "error", err)
		return
	}
	for _, m := range marks {
		s.add(m.ID, r.Now().Add(m.Period))
	}
	var out []*sieve.Outgoing
	for _, v := range answers {
		o, why := v.Reply(env)
		switch {
		case o == nil:
			r.log.InfoContext(ctx, "no vacation answer", "reason", why)
		case r.Submit == nil:
			r.complain(ctx, "error: vacation: this server cannot send mail; no answer was sent")
		case r.wasNotified(ctx, v, o):
			r.log.InfoContext(ctx, "no vacation answer", "reason", "PostfixAdmin's program has told the sender")
		case !s.has(o.Key):
			s.add(o.Key, r.Now().Add(o.Period))
			out = append(out, o)
		}
	}
	if err := s.save(r.dir, r.write); err != nil {
		r.log.WarnContext(ctx, "remember whom sieve answered; nothing is sent", "error", err)
		return
	}
	for _, o := range out {
		r.answer(ctx, o)
	}
}

// notify sends notifications and reports; what cannot be sent is logged.
func (r *run) notify(ctx context.Context, env *sieve.Env, list []sieve.Action) {
	for _, a := range list {
		o, why := notice(env, a)
		switch {
		case o == nil:
			r.log.InfoContext(ctx, "no "+a.Kind.String(), "reason", why)
		case r.Submit == nil:
			r.complain(ctx, "error: "+a.Kind.String()+": this server cannot send mail; nothing was sent")
		default:
			r.answer(ctx, o)
		}
	}
}

// notice is what a Notify or SendReport sends, nil and why not.
func notice(env *sieve.Env, a sieve.Action) (*sieve.Outgoing, string) {
	if a.Kind == sieve.Notify {
		return a.Notification.Send(env)
	}
	o, err := a.Report.Send(env, a.Content)
	if err != nil {
		return nil, err.Error()
	}
	return o, ""
}

// from is the reverse-path of what comes of the message. That the message must not
// travel without TLS is true of that, too (RFC 8689 section 6).
func (r *run) from(a mail.Address) mail.ReversePath {
	return mail.ReversePath{Address: a, RequireTLS: r.q.From.RequireTLS}
}

// answer sends, and then files the copy that :fcc asks for.
func (r *run) answer(ctx context.Context, o *sieve.Outgoing) {
	var to []mail.Address
	for _, s := range o.To {
		a, err := mail.ParseAddress(s)
		if err != nil {
			r.log.WarnContext(ctx, "vacation answer", "to", s, "error", err)
			return
		}
		to = append(to, a)
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		from = mail.Address{} // the null path
	}
	if err := r.Submit(ctx, r.q.ID, r.from(from), to, bytes.NewReader(o.Content)); err != nil {
		r.log.WarnContext(ctx, "send vacation answer", "error", err)
		return
	}
	if o.FCC == nil {
		return
	}
	s := store(r.folder(ctx, *o.FCC), o.FCC.Flags, bytes.NewReader(o.Content))
	if err := r.q.Store(ctx, s); err != nil {
		r.log.WarnContext(ctx, "file the copy of an answer", "folder", s.Folder, "error", err)
	}
}
