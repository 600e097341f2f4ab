package storagetest

import (
	"math"
	"slices"
	"testing"

	"gomaild/storage"
)

// quotaTests hold what an account may hold. The messages of the suite are
// measured first: stores may keep line ends in their own way.
var quotaTests = []test{
	{"quota: nobody counts", func(_ *testing.T, w *world) {
		w.fill(w.open("INBOX"), "a")
		q, err := w.account.Quota(w.ctx)
		w.ok(err)
		if q != (storage.Quota{}) {
			w.t.Errorf("%+v", q)
		}
		w.ok(w.account.Admits(w.ctx, math.MaxInt64))
	}},
	{"quota: use follows what comes and goes", func(_ *testing.T, w *world) {
		w.limit(storage.Usage{})
		inbox, other := w.open("INBOX"), w.create("Other")
		uids := w.fill(inbox, "a", "b", "c")
		one := w.used(3) / 3
		w.ok(inbox.Deliver(w.ctx, Draft("d")))
		w.used(4)
		_, err := inbox.Copy(w.ctx, uids[:2], other)
		w.ok(err)
		w.used(6)
		_, err = inbox.Move(w.ctx, uids[1:], other)
		w.ok(err)
		w.used(6)
		w.ok(inbox.Expunge(w.ctx, uids[:2]))
		w.used(5)
		w.ok(w.account.Rename(w.ctx, "Other", "Another"))
		w.used(5)
		w.ok(w.account.Delete(w.ctx, "Another"))
		if got := w.used(1); got != one {
			w.t.Errorf("%d octets, want %d", got, one)
		}
		w.ok(w.account.Rename(w.ctx, "INBOX", "Archive"))
		w.used(1)
	}},
	{"quota: APPEND and COPY stop at the limit, deliveries above it", func(_ *testing.T, w *world) {
		w.limit(storage.Usage{Messages: 10})
		inbox, other := w.open("INBOX"), w.create("Other")
		uids := w.fill(inbox, "1", "2", "3", "4", "5", "6", "7", "8")
		_, err := inbox.Copy(w.ctx, uids[:3], other)
		w.want(err, storage.ErrQuota)
		w.subjects(other)
		_, err = inbox.Copy(w.ctx, uids[:2], other)
		w.ok(err)
		_, err = inbox.Append(w.ctx, Draft("x"))
		w.want(err, storage.ErrQuota)
		w.ok(w.account.Admits(w.ctx, 0))
		w.ok(inbox.Deliver(w.ctx, Draft("eleventh")))
		w.want(inbox.Deliver(w.ctx, Draft("x")), storage.ErrQuota)
		w.want(w.account.Admits(w.ctx, 0), storage.ErrQuota)
		_, err = inbox.Move(w.ctx, uids, other)
		w.ok(err)
		w.used(11)
		there := w.view(other).Messages
		w.ok(other.Expunge(w.ctx, []storage.UID{there[0].UID, there[1].UID}))
		w.fill(inbox, "fits")
		w.used(10)
	}},
	{"quota: of several messages all must fit", func(_ *testing.T, w *world) {
		w.limit(storage.Usage{Messages: 3})
		inbox := w.open("INBOX")
		w.fill(inbox, "a")
		_, err := inbox.AppendAll(w.ctx, slices.Values([]storage.Draft{Draft("b"), Draft("c"), Draft("d")}))
		w.want(err, storage.ErrQuota)
		w.used(1)
		_, err = inbox.AppendAll(w.ctx, slices.Values([]storage.Draft{Draft("b"), Draft("c")}))
		w.ok(err)
		w.used(3)
	}},
	{"quota: what replaces another needs only the difference", func(_ *testing.T, w *world) {
		w.limit(storage.Usage{Messages: 2})
		inbox, other := w.open("INBOX"), w.create("Other")
		uids := w.fill(inbox, "a", "b")
		d := Draft("c")
		d.Instead = &storage.Replaced{In: inbox, UID: uids[0]}
		_, err := other.Append(w.ctx, d)
		w.ok(err)
		w.used(3)
		d = Draft("d")
		d.Instead = &storage.Replaced{In: inbox, UID: 99}
		_, err = other.Append(w.ctx, d)
		w.want(err, storage.ErrQuota)
		w.ok(inbox.Expunge(w.ctx, uids[:1]))
		w.used(2)
		w.subjects(other, "c")
	}},
	{"quota: octets to the last", func(_ *testing.T, w *world) {
		w.limit(storage.Usage{})
		inbox := w.open("INBOX")
		w.fill(inbox, "a")
		one := w.used(1)
		w.limit(storage.Usage{Bytes: 3 * one})
		w.fill(inbox, "b", "c")
		_, err := inbox.Append(w.ctx, Draft("d"))
		w.want(err, storage.ErrQuota)
		w.limit(storage.Usage{Bytes: 4*one - 1})
		_, err = inbox.Append(w.ctx, Draft("d"))
		w.want(err, storage.ErrQuota)
		w.ok(inbox.Deliver(w.ctx, Draft("d"))) // 10 % above
		w.want(w.account.Admits(w.ctx, one), storage.ErrQuota)
		q, err := w.account.Quota(w.ctx)
		w.ok(err)
		if want := (storage.Usage{Bytes: 4 * one, Messages: 4}); q.Used != want || q.Max.Bytes != 4*one-1 {
			w.t.Errorf("%+v, want %+v", q, want)
		}
		w.limit(storage.Usage{Bytes: -1, Messages: -1})
		w.fill(inbox, "no limit")
	}},
}

// limit gives the account other limits.
func (w *world) limit(most storage.Usage) {
	w.t.Helper()
	o := Alice()
	o.Limits = storage.Limits{Counted: true, Max: most, Grace: 10}
	w.account = w.login(o)
}

// used holds how many messages the account counts, and returns their octets.
func (w *world) used(messages int64) int64 {
	w.t.Helper()
	q, err := w.account.Quota(w.ctx)
	w.ok(err)
	if q.Used.Messages != messages {
		w.t.Errorf("%d messages are counted, want %d", q.Used.Messages, messages)
	}
	return q.Used.Bytes
}
