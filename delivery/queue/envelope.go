package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gomaild/mail"
)

// ErrDamaged means that a file of the queue is not what was written. The
// message is left where it is, for a person to look at.
var ErrDamaged = errors.New("damaged queue file")

const magic = "gomaild-queue-1 "

// Recipient is somebody a message is owed to.
type Recipient struct {
	mail.Recipient
	Destination Destination
	Attempts    int       // made so far
	Next        time.Time // of the next attempt
	Last        string    // what the last attempt said, for people
	Warned      bool      `json:",omitempty"` // the sender was told of the delay, or nobody is to be
}

// Envelope is a queued message apart from its content.
type Envelope struct {
	ID         string
	From       mail.ReversePath
	Arrived    time.Time
	RequireTLS bool         // REQUIRETLS (RFC 8689)
	Held       bool         `json:",omitempty"` // no attempts until it is released
	Account    mail.Address `json:",omitzero"`  // that submitted it; zero for a stranger's, and for our own
	Size       int64
	Digest     string      // SHA-256 of the content, in hex
	To         []Recipient // those who are still owed
}

func (e *Envelope) encode() ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

func decode(data []byte) (*Envelope, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(head) != magic+hex.EncodeToString(sum[:]) {
		return nil, ErrDamaged
	}
	e := new(Envelope)
	if err := json.Unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return e, nil
}
