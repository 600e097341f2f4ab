package imap

import (
	"context"
	"strconv"
	"strings"
)

// extensions are offered in every state, in this order after the versions.
const extensions = "LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE " +
	"ESEARCH SEARCHRES WITHIN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE " +
	"SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS I18NLEVEL=1 " +
	"CONDSTORE QRESYNC MULTIAPPEND OBJECTID SAVEDATE PARTIAL COMPRESS=DEFLATE BINARY UTF8=ACCEPT PREVIEW METADATA INPROGRESS CATENATE REPLACE CONTEXT=SEARCH CONTEXT=SORT NOTIFY " +
	"QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE"

// capability is CAPABILITY, RFC 3501 section 6.1.1.
type capability struct{}

func (capability) run(_ context.Context, s *session) (reply, error) {
	s.enc.Raw("* CAPABILITY ")
	s.printCapabilities()
	s.enc.CRLF()
	return reply{}, nil
}

// printCapabilities prints what holds in the present state.
func (s *session) printCapabilities() {
	s.enc.Raw(s.capabilities())
	if s.state != notAuthenticated {
		return
	}
	if s.mayStartTLS() {
		s.enc.Raw(" STARTTLS")
	}
	if !s.mayUsePlaintext() {
		s.enc.Raw(" LOGINDISABLED")
	}
	for _, m := range s.srv.cfg.Auth.Mechanisms() {
		if s.mayUse(m) {
			s.enc.Raw(" AUTH=" + strings.ToUpper(m))
		}
	}
}

// capabilities are those that hold after login, and are told before it too.
func (s *session) capabilities() string {
	lists := ""
	if s.srv.cfg.AccessLists {
		lists = " ACL RIGHTS=texk LIST-MYRIGHTS" // RFC 4314 section 6: those that RFC 2086 had not
	}
	if !s.srv.cfg.NoUnauthenticate {
		lists += " UNAUTHENTICATE"
	}
	if url := s.srv.cfg.SieveURL; url != "" {
		lists += " IMAPSIEVE=" + url
	}
	return "IMAP4rev1 IMAP4rev2 " + extensions + lists + " APPENDLIMIT=" + strconv.FormatInt(s.limits.Message, 10)
}
