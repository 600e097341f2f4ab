package imap

import (
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// independentClient is a logged-in client of another implementation.
func independentClient(t *testing.T, w *world) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(w.listen(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login("alice", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestIndependentClientExtensions holds that another implementation, which
// parses strictly, understands what it knows of the extensions.
func TestIndependentClientExtensions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("INBOX", "Subject: b\nMessage-ID: <1@x>\nContent-Transfer-Encoding: base64\n\nAGI=\n", 0)
	w.put("INBOX", "Subject: a\nMessage-ID: <2@x>\n\n2\n", 0)
	w.put("INBOX", "Subject: Re: b\nReferences: <1@x>\n\n3\n", 0)
	c := independentClient(t, w)
	see := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	_, err := c.Enable(imap.CapIMAP4rev2, imap.CapUTF8Accept).Wait()
	see("enable", "", "", err)
	see("create", "", "", c.Create("Größe", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrArchive}}).Wait())
	boxes, err := c.List("", "Gr*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	see("list", boxes[0].Mailbox, "Größe", err)
	selected, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	see("select", selected.NumMessages, 3, err)
	see("HIGHESTMODSEQ", selected.HighestModSeq > 0, true, nil)

	sorted, err := c.Sort(&imapclient.SortOptions{SortCriteria: []imapclient.SortCriterion{{Key: imapclient.SortKeySubject}}, SearchCriteria: &imap.SearchCriteria{}}).Wait()
	see("sort", sorted, []uint32{2, 1, 3}, err)
	threads, err := c.UIDThread(&imapclient.ThreadOptions{Algorithm: imap.ThreadReferences, SearchCriteria: &imap.SearchCriteria{}}).Wait()
	see("thread", len(threads), 2, err)
	found, err := c.UIDSearch(&imap.SearchCriteria{ModSeq: &imap.SearchCriteriaModSeq{ModSeq: 1}}, &imap.SearchOptions{ReturnMin: true, ReturnCount: true}).Wait()
	see("esearch", []uint32{found.Min, found.Count}, []uint32{1, 3}, err)
	see("its MODSEQ", found.ModSeq > 0, true, nil)
	messages, err := c.Fetch(imap.UIDSetNum(1, 2, 3), &imap.FetchOptions{UID: true, ModSeq: true, BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{1}}}, BinarySection: []*imap.FetchItemBinarySection{{Part: []int{1}, Peek: true}}}).Collect()
	see("fetch", len(messages), 3, err)
	if len(messages) == 3 {
		see("a binary part", messages[0].BinarySection[0].Bytes, []byte("\x00b"), nil)
		see("its size", messages[0].BinarySectionSize[0].Size, 2, nil)
	}
	stored, err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, &imap.StoreOptions{UnchangedSince: selected.HighestModSeq}).Collect()
	see("store", len(stored), 1, err)
	status, err := c.Status("Größe", &imap.StatusOptions{NumMessages: true, Size: true, NumDeleted: true, AppendLimit: true, HighestModSeq: true}).Wait()
	see("status", *status.Size, 0, err)

	note := []byte("mine")
	see("setmetadata", "", "", c.SetMetadata("INBOX", map[string]*[]byte{"/private/comment": &note}).Wait())
	data, err := c.GetMetadata("INBOX", []string{"/private"}, &imapclient.GetMetadataOptions{Depth: imapclient.GetMetadataDepthInfinity}).Wait()
	if err != nil || data.Entries["/private/comment"] == nil || string(*data.Entries["/private/comment"]) != "mine" {
		t.Errorf("getmetadata: %v, %v", data, err)
	}
	see("logout", "", "", c.Logout().Wait())
}
