package journal

// batch is what is written together.
type batch struct {
	data     []byte
	keys     []key
	segment  *segment // that it went to
	finished bool
	err      error
}

// deliver appends a delivery and waits until it is durable. The segment counts
// it as unplaced.
func (j *Journal) deliver(r *record) (*segment, error) {
	size := int64(headerSize + len(r.entry.Content) + len(r.entry.Dir) + len(r.entry.Name) + 20)
	k := r.entry.key()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.takes(k, size) {
		return nil, ErrDirect
	}
	b := j.waiting
	b.data = r.append(b.data)
	b.keys = append(b.keys, k)
	j.pending[k] = nil
	if err := j.commit(b); err != nil {
		return nil, ErrDirect
	}
	return b.segment, nil
}

// takes reports whether a delivery may be appended. mu is held.
func (j *Journal) takes(k key, size int64) bool {
	if j.broken != nil || j.isClosed || j.isResting(k.dir) {
		return false
	}
	if j.active.end+int64(len(j.waiting.data))+size > j.limit {
		signal(j.full)
		return false
	}
	_, again := j.pending[k]
	return !again
}

// appendWait appends records that are no deliveries, for which there is always
// room, and waits until they are durable.
func (j *Journal) appendWait(records ...*record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return j.broken
	}
	b := j.waiting
	for _, r := range records {
		b.data = r.append(b.data)
	}
	return j.commit(b)
}

// commit returns when b is durable, or cannot be. The first who finds nobody
// writing writes for all who wait. mu is held.
func (j *Journal) commit(b *batch) error {
	for !b.finished {
		if j.writing {
			j.moved.Wait()
			continue
		}
		j.write()
	}
	return b.err
}

// write writes what waits, with mu released meanwhile. After an error nobody
// knows what is on the disk, and no later fdatasync could be believed: it is
// the journal's end.
func (j *Journal) write() {
	b := j.take()
	err := j.broken
	if err == nil {
		b.data = padded(b.data)
		j.writing = true
		j.mu.Unlock()
		if err = j.fence(); err == nil {
			err = b.segment.write(b.data)
		}
		j.mu.Lock()
		j.writing = false
		b.segment.end += int64(len(b.data))
	}
	if err != nil {
		b.segment.unplaced -= len(b.keys)
		j.breakWith(err)
	}
	if j.removed {
		clear(j.pending) // it came too late to be written
	}
	b.finished, b.err = true, err
	if cap(b.data) <= maxSpare {
		j.spare = b.data[:0]
	}
	b.data = nil
	j.urge(b)
	j.moved.Broadcast()
}

// maxSpare bounds what is kept to write the next batch from.
const maxSpare = 4 << 20

// take gives what waits its place in the active file.
func (j *Journal) take() *batch {
	b, s := j.waiting, j.active
	j.waiting = &batch{data: j.spare}
	j.spare = nil
	b.segment = s
	j.next = number(b.data, s.generation, j.next)
	s.unplaced += len(b.keys)
	s.keys = append(s.keys, b.keys...)
	for _, k := range b.keys {
		j.pending[k] = s
	}
	return b
}

// urge tells run that there is work for it. mu is held.
func (j *Journal) urge(b *batch) {
	switch {
	case b.segment.end > j.limit/2 || j.broken != nil:
		signal(j.full)
	case len(b.keys) > 0:
		signal(j.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it knows already
	}
}

func (s *segment) write(data []byte) error {
	if _, err := s.file.WriteAt(data, s.end); err != nil {
		return err
	}
	return s.file.SyncData()
}

// padded fills the last block.
func padded(data []byte) []byte {
	if rest := len(data) % blockSize; rest != 0 {
		return append(data, make([]byte, blockSize-rest)...)
	}
	return data
}

// breakWith ends the journal; mu is held.
func (j *Journal) breakWith(err error) {
	if j.broken == nil {
		j.broken = err
		j.log.Error("journal is given up, deliveries go the slower way", "dir", j.dir, "error", err)
	}
}
