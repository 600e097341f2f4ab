package maildir

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"gomaild/storage"
)

// What an account holds stands in its file maildirsize (Maildir++): the limits
// in the first line ("10240000S,500C", "0S" for none), then pairs of octets and
// messages that are summed up, negative ones for what went. A change is one
// line, appended with one write and without a lock.
const (
	usageFile = "maildirsize"
	// maxUsageFile is from which size on the file is written anew, as all other
	// programs do.
	maxUsageFile = 5120
)

// errUsage means that the file cannot be believed: it is counted again.
var errUsage = errors.New("maildirsize is damaged")

// usageLines are what the file says.
type usageLines struct {
	limit storage.Usage // 0 for none
	sum   storage.Usage
	lines int // pairs
}

// parseUsage reads the file. A line that is not ended may be torn.
func parseUsage(data string) (usageLines, error) {
	var u usageLines
	first, rest, ended := strings.Cut(data, "\n")
	limit, ok := parseLimits(first)
	if !ok || !ended {
		return u, errUsage
	}
	u.limit = limit
	for rest != "" {
		var line string
		if line, rest, ended = strings.Cut(rest, "\n"); !ended {
			return u, errUsage
		}
		one, ok := parsePair(line)
		if !ok {
			return u, errUsage
		}
		u.sum = u.sum.Plus(one)
		u.lines++
	}
	if u.lines == 0 || u.sum.Bytes < 0 || u.sum.Messages < 0 {
		return u, errUsage
	}
	return u, nil
}

// maxPair keeps the sum of all pairs that the file can hold in range.
const maxPair = math.MaxInt64 / maxUsageFile

func parsePair(line string) (storage.Usage, bool) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return storage.Usage{}, false
	}
	octets, err1 := strconv.ParseInt(fields[0], 10, 64)
	messages, err2 := strconv.ParseInt(fields[1], 10, 64)
	if err1 != nil || err2 != nil || max(octets, -octets, messages, -messages) > maxPair || octets == math.MinInt64 || messages == math.MinInt64 {
		return storage.Usage{}, false
	}
	return storage.Usage{Bytes: octets, Messages: messages}, true
}

func parseLimits(line string) (storage.Usage, bool) {
	var u storage.Usage
	for part := range strings.SplitSeq(line, ",") {
		if part == "" {
			return u, false
		}
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 64)
		if err != nil || n < 0 {
			return u, false
		}
		switch part[len(part)-1] {
		case 'S':
			u.Bytes = n
		case 'C':
			u.Messages = n
		default:
			return u, false
		}
	}
	return u, true
}

// appendLimits writes the first line, as Dovecot does.
func appendLimits(b []byte, limit storage.Usage) []byte {
	if limit.Bytes > 0 || limit.Messages <= 0 {
		b = append(strconv.AppendInt(b, max(limit.Bytes, 0), 10), 'S')
	}
	if limit.Messages > 0 {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(b, limit.Messages, 10), 'C')
	}
	return append(b, '\n')
}

func appendPair(b []byte, u storage.Usage) []byte {
	b = append(strconv.AppendInt(b, u.Bytes, 10), ' ')
	return append(strconv.AppendInt(b, u.Messages, 10), '\n')
}
