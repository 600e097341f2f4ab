package imap

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"gomaild/imap/thread"
	"gomaild/storage"
)

// Webmail sorts and threads the whole mailbox for each page that it shows, and
// what messages are sorted by never changes. So the order of many messages is
// remembered with the mailbox, and kept on disk (memo_kept.go): the same messages have the same order, and where
// few came they are put in among the others.
const (
	memoFrom  = 500     // fewer messages are sorted faster than remembered
	memoUpTo  = 300_000 // more would take too much memory
	memoAdded = 64      // so many new messages are put in one by one
)

// inOrder is the order of messages.
type inOrder struct {
	uids  []storage.UID // by number
	order []int         // positions in uids
}

// memoKey is for a result that depends on the messages alone.
func (s *session) memoKey(kind string) string {
	return fmt.Sprint(s.box.known.UIDValidity, " ", kind)
}

// uidsOf are those of hits.
func (s *session) uidsOf(hits []int) []storage.UID {
	uids := make([]storage.UID, len(hits))
	for n, i := range hits {
		uids[n] = s.box.known.Messages[i].UID
	}
	return uids
}

// remembered sorts hits with the help of what was sorted before.
func (r *sortMessages) remembered(ctx context.Context, s *session, hits []int) ([]int, error) {
	if len(hits) < memoFrom || len(hits) > memoUpTo {
		return r.order(ctx, s, hits)
	}
	key, uids := s.memoKey("SORT "+r.name), s.uidsOf(hits)
	memo := s.box.mailbox.Memo()
	if before := recallOrder(memo, key); before != nil {
		if sorted, ok := r.from(ctx, s, before, uids, hits); ok {
			return sorted, nil
		}
	}
	sorted, err := r.order(ctx, s, hits)
	if err == nil {
		r.remember(memo, key, uids, hits, sorted)
	}
	return sorted, err
}

func (r *sortMessages) remember(memo *storage.Memo, key string, uids []storage.UID, hits, sorted []int) {
	if r.gone {
		return // of a message that is gone nothing was known
	}
	order := make([]int, len(sorted))
	for n, i := range sorted {
		order[n] = sort.SearchInts(hits, i)
	}
	memo.Store(key, &inOrder{uids, order})
}

// from makes the order of hits out of one that was remembered; false if too much
// has changed, or a message cannot be read.
func (r *sortMessages) from(ctx context.Context, s *session, before *inOrder, uids []storage.UID, hits []int) ([]int, bool) {
	if slices.Equal(before.uids, uids) {
		sorted := make([]int, len(hits))
		for n, at := range before.order {
			sorted[n] = hits[at]
		}
		return sorted, true
	}
	place, added := match(before.uids, uids)
	if len(added) > memoAdded {
		return nil, false
	}
	sorted := make([]int, 0, len(hits))
	for _, at := range before.order {
		if at = place[at]; at >= 0 {
			sorted = append(sorted, hits[at])
		}
	}
	known := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", known.Close()) }()
	for _, n := range added {
		row, err := r.row(ctx, s, known, hits[n])
		if err != nil {
			return nil, false
		}
		at := sort.Search(len(sorted), func(j int) bool {
			other, fault := r.row(ctx, s, known, sorted[j])
			if fault != nil {
				err = fault
			}
			return r.less(row, other)
		})
		if err != nil {
			return nil, false
		}
		sorted = slices.Insert(sorted, at, hits[n])
	}
	r.remember(s.box.mailbox.Memo(), s.memoKey("SORT "+r.name), uids, hits, sorted)
	return sorted, true
}

// match finds where messages of old are in now, -1 for those that are not, and
// which of now are not in old. Both ascend.
func match(old, now []storage.UID) (place, added []int) {
	place = make([]int, len(old))
	j := 0
	for i, uid := range old {
		for ; j < len(now) && now[j] < uid; j++ {
			added = append(added, j)
		}
		place[i] = -1
		if j < len(now) && now[j] == uid {
			place[i] = j
			j++
		}
	}
	for ; j < len(now); j++ {
		added = append(added, j)
	}
	return place, added
}

// inThreads are the threads of messages.
type inThreads struct {
	uids    []storage.UID
	threads []*thread.Node // their numbers are positions in uids
}

// remembered threads hits, or says how they were threaded before.
func (r threadMessages) remembered(ctx context.Context, s *session, hits []int) ([]*thread.Node, error) {
	if len(hits) < memoFrom || len(hits) > memoUpTo {
		return r.algorithm(ctx, s, hits)
	}
	key, uids := s.memoKey("THREAD "+r.name), s.uidsOf(hits)
	memo := s.box.mailbox.Memo()
	if before := recallThreads(memo, key); before != nil && slices.Equal(before.uids, uids) {
		return before.threads, nil
	}
	threads, err := r.algorithm(ctx, s, hits)
	if err == nil {
		memo.Store(key, &inThreads{uids, threads})
	}
	return threads, err
}
