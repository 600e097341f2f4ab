package maildir

import (
	"container/list"

	"gomaild/message"
	"gomaild/storage"
)

// maxSummaries bounds the cache of a mailbox: enough for the pages a client
// scrolls through.
const maxSummaries = 512

// summaryCache keeps the summaries that were used last. The zero value works.
type summaryCache struct {
	order list.List // of cached, the last used in front
	byUID map[storage.UID]*list.Element
}

type cached struct {
	uid     storage.UID
	summary *message.Summary
}

func (c *summaryCache) get(uid storage.UID) *message.Summary {
	e := c.byUID[uid]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).summary
}

func (c *summaryCache) put(uid storage.UID, s *message.Summary) {
	if c.byUID == nil {
		c.byUID = map[storage.UID]*list.Element{}
	}
	if c.byUID[uid] != nil {
		return
	}
	c.byUID[uid] = c.order.PushFront(cached{uid, s})
	if c.order.Len() > maxSummaries {
		oldest := c.order.Remove(c.order.Back()).(cached)
		delete(c.byUID, oldest.uid)
	}
}

func (c *summaryCache) clear() {
	c.order.Init()
	clear(c.byUID)
}
