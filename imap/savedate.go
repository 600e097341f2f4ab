package imap

import (
	"time"

	"gomaild/storage"
)

// printSaveDate prints SAVEDATE, RFC 8514 section 4.2.
func (s *session) printSaveDate(m *fetched) {
	s.enc.Raw("SAVEDATE ")
	if m.info.SaveDate.IsZero() {
		s.enc.Raw("NIL")
		return
	}
	s.enc.DateTime(m.info.SaveDate)
}

// saveDateKeys compare the day a message came into the mailbox with the day
// given, as dateKeys do; where it is not known, the day of INTERNALDATE (RFC
// 8514 section 4.1).
var saveDateKeys = map[string][]int{"SAVEDBEFORE": {-1}, "SAVEDON": {0}, "SAVEDSINCE": {0, 1}}

func saveDate(i storage.Info) time.Time {
	if i.SaveDate.IsZero() {
		return i.InternalDate
	}
	return i.SaveDate
}
