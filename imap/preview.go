package imap

// printPreview prints PREVIEW (RFC 8970). It was made when the message was parsed, so
// LAZY (section 4) changes nothing.
func printPreview(s *session, m *fetched) {
	s.enc.Raw("PREVIEW ")
	s.enc.String(string(m.digest.Preview()))
}

// addPreview reads the modifier of PREVIEW, if there is one.
func (r *fetch) addPreview(g *grammar) {
	g.AcceptFold(" (LAZY)")
	r.items = append(r.items, fetchItem{name: "PREVIEW", print: printPreview})
	r.needs |= needsDigest
}
