package remote

import (
	"context"
	"strings"

	"gomaild/delivery/queue"
)

// Way is how a message would go, for people.
type Way struct {
	To    queue.Destination // a relay host seen to
	Login string            // name at To, "" for none
	Level Level
	Hosts []string // best first: "name (address, address)"
}

// Way is the way that Deliver would go with a job, whose content is not looked at.
// An error says why its hosts are not known.
func (a *Agent) Way(ctx context.Context, job queue.Job) (Way, error) {
	t := a.newAttempt(job)
	if err := t.choose(); err != nil {
		return Way{To: t.to}, err
	}
	w := Way{To: t.to, Login: t.login.Name, Level: t.policy.Level}
	t.findSTS(ctx)
	hosts, err := t.route(ctx)
	for _, h := range hosts {
		line := h.name
		if line == "" || h.network != "tcp" {
			line = strings.Join(h.addrs, ", ")
		} else {
			line += " (" + strings.Join(h.addrs, ", ") + ")"
		}
		if t.enforces() && !t.sts.Allows(h.name) {
			line += ", which MTA-STS does not allow"
		}
		w.Hosts = append(w.Hosts, line)
	}
	return w, err
}

// String is Postfix's word for the level.
func (l Level) String() string {
	switch l {
	case None:
		return "none"
	case Encrypt:
		return "encrypt"
	case DANE:
		return "dane"
	case DANEOnly:
		return "dane-only"
	case Fingerprint:
		return "fingerprint"
	case Verify:
		return "verify"
	case Secure:
		return "secure"
	default:
		return "may"
	}
}
