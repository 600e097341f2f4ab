package storage

import (
	"math"

	"gomaild/mail"
)

// Usage is what an account holds, or may hold.
type Usage struct {
	Bytes    int64 // octets of the files, as they are stored
	Messages int64
}

// Plus is the sum of two usages.
func (u Usage) Plus(v Usage) Usage { return Usage{u.Bytes + v.Bytes, u.Messages + v.Messages} }

// Minus is the difference of two usages.
func (u Usage) Minus(v Usage) Usage { return Usage{u.Bytes - v.Bytes, u.Messages - v.Messages} }

// Limits are those of an account (RFC 9208). Their zero value counts nothing
// and limits nothing.
type Limits struct {
	Counted bool  // what the account holds is counted; without it nothing else here matters
	Max     Usage // in a field 0 and less is no limit
	// Grace is by how many percent of Max deliveries may exceed it, so that the
	// last message of a day still comes in.
	Grace int
}

// Allows reports whether an account that holds used may hold add besides. What
// does not grow is always allowed.
func (l Limits) Allows(used, add Usage, delivery bool) bool {
	if !l.Counted {
		return true
	}
	grace := int64(0)
	if delivery {
		grace = int64(l.Grace)
	}
	return allows(used.Bytes, add.Bytes, l.Max.Bytes, grace) && allows(used.Messages, add.Messages, l.Max.Messages, grace)
}

func allows(used, add, most, grace int64) bool {
	if most <= 0 || add <= 0 {
		return true
	}
	more := most/100*grace + most%100*grace/100
	return used <= min(most, math.MaxInt64-more)+more-add
}

// UsageChange is that an account holds another amount than before.
type UsageChange struct {
	Owner       mail.Address
	Limits      Limits
	Before, Now Usage
}

// Quota is what an account holds and may hold, for GETQUOTA.
type Quota struct {
	Limits
	Used Usage
}
