package filter

import (
	"context"
	"path/filepath"

	"gomaild/sieve"
)

// environ is all of the environment that a program gets, with the names that
// Pigeonhole gives it.
func (r *run) environ(env *sieve.Env) []string {
	var list []string
	for _, v := range []struct{ name, value string }{
		{"HOME", filepath.Join(r.Root, filepath.FromSlash(r.dir))},
		{"USER", r.q.Recipient.Mailbox.Address.String()},
		{"HOST", r.Hostname},
		{"SENDER", env.From},
		{"RECIPIENT", env.To},
		{"ORIG_RECIPIENT", env.OrigTo},
	} {
		if v.value != "" {
			list = append(list, v.name+"="+v.value)
		}
	}
	return list
}

// pipe runs the programs that take the message (vnd.dovecot.pipe), before
// anything else is done. false: one failed that must not, and the message is to
// be kept, nothing else.
func (r *run) pipe(ctx context.Context, env *sieve.Env, result *sieve.Result) bool {
	for _, a := range result.Actions {
		if a.Kind != sieve.Pipe {
			continue
		}
		p := *a.Program
		if p.Input = a.Content; p.Input == nil {
			p.Input = r.q.Content
		}
		err := sieve.ErrNoProgram
		if env.Program != nil {
			_, err = env.Program(ctx, p)
		}
		switch {
		case err == nil:
		case a.Try:
			r.log.InfoContext(ctx, "sieve pipe :try", "program", p.Name, "error", err)
			result.ImplicitKeep = result.ImplicitKeep || a.ElseKeep
		default:
			r.complain(ctx, a.Pos.String()+": error: pipe action: failed to pipe message to program '"+p.Name+"': "+err.Error())
			return false
		}
	}
	return true
}
