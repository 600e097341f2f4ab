package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Record is one start of a daemon on a mail root, as the epoch file has it.
type Record struct {
	Epoch   uint64    `json:"epoch"`   // 1 for the first start
	Node    string    `json:"node"`    // what the system of the node calls itself
	Boot    string    `json:"boot"`    // the kernel's boot id; "" where it has none
	PID     int       `json:"pid"`     // of the daemon, on its node
	Started time.Time `json:"started"` // by the node's clock; for people
}

// String is for the line that an operator reads.
func (r Record) String() string {
	return fmt.Sprintf("epoch %d: process %d on %s, started %s", r.Epoch, r.PID, r.Node, r.Started.UTC().Format(time.RFC3339))
}

// ErrDamaged means that neither half of the epoch file can be read: nobody knows
// how often the root was started. A person has to look why.
var ErrDamaged = errors.New("damaged epoch file")

const (
	blockSize  = 4096
	halfSize   = blockSize / 2
	epochMagic = "gomaild-epoch-1 "
	maxNode    = 255 // octets of a node's name that are kept
)

// half is the offset of an epoch's half.
func half(epoch uint64) int64 { return int64(epoch%2) * halfSize }

// encode is the half of a record.
func (r Record) encode() ([]byte, error) {
	r.Node = r.Node[:min(len(r.Node), maxNode)]
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	line := append([]byte(epochMagic+hex.EncodeToString(sum[:])+" "), body...)
	if len(line) >= halfSize {
		return nil, fmt.Errorf("epoch record of %d octets is too long", len(line))
	}
	data := append(line, bytes.Repeat([]byte{' '}, halfSize-len(line))...)
	data[halfSize-1] = '\n'
	return data, nil
}

// decodeHalf reads one half.
func decodeHalf(data []byte) (r Record, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(epochMagic))
	if !ok {
		return r, false
	}
	digest, body, ok := bytes.Cut(bytes.TrimRight(rest, " \n"), []byte{' '})
	sum := sha256.Sum256(body)
	if !ok || string(digest) != hex.EncodeToString(sum[:]) {
		return r, false
	}
	err := json.Unmarshal(body, &r)
	return r, err == nil && r.Epoch > 0
}

// decode is the highest record of an epoch file; a file of another length is
// read as far as it goes.
func decode(block []byte) (Record, error) {
	var last Record
	for at := 0; at+halfSize <= len(block) && at < blockSize; at += halfSize {
		if r, ok := decodeHalf(block[at : at+halfSize]); ok && r.Epoch > last.Epoch {
			last = r
		}
	}
	if last.Epoch == 0 {
		return last, ErrDamaged
	}
	return last, nil
}
