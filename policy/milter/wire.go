package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Commands of ours.
const (
	cmdNegotiate = 'O'
	cmdMacro     = 'D'
	cmdConnect   = 'C'
	cmdHelo      = 'H'
	cmdMail      = 'M'
	cmdRcpt      = 'R'
	cmdData      = 'T'
	cmdHeader    = 'L'
	cmdEndHeader = 'N'
	cmdBody      = 'B'
	cmdEnd       = 'E'
	cmdQuit      = 'Q'
	cmdAbort     = 'A'
)

// Replies of a filter, and what it may ask for before the last one.
const (
	replyContinue = 'c'
	replyAccept   = 'a'
	replyReject   = 'r'
	replyTempFail = 't'
	replyDiscard  = 'd'
	replyCode     = 'y'
	replySkip     = 's'
	replyProgress = 'p'
	replyShutdown = '4'
	replyConnFail = 'f'

	askAddHeader    = 'h'
	askInsertHeader = 'i'
	askChangeHeader = 'm'
	askReplaceBody  = 'b'
	askQuarantine   = 'q'
	askAddRcpt      = '+'
	askAddRcptPar   = '2'
	askRemoveRcpt   = '-'
	askChangeFrom   = 'e'
)

// What a filter may ask for (SMFIF_*): header, body, recipients (with and without
// parameters), reverse-path, quarantine, and the macros it names.
const offeredActions = 0x1FF

// Steps that a filter may do without (SMFIP_NO*), and those that it does not
// answer (SMFIP_NR_*).
const (
	noConnect      = 0x1
	noHelo         = 0x2
	noMail         = 0x4
	noRcpt         = 0x8
	noBody         = 0x10
	noHeaders      = 0x20
	noEndHeader    = 0x40
	silentHeader   = 0x80
	noData         = 0x200
	maySkip        = 0x400
	wantsRefused   = 0x800 // SMFIP_RCPT_REJ
	silentConnect  = 0x1000
	silentHelo     = 0x2000
	silentMail     = 0x4000
	silentRcpt     = 0x8000
	silentData     = 0x10000
	silentEndHdr   = 0x40000
	silentBody     = 0x80000
	leadingSpace   = 0x100000
	offeredSteps   = 0x1FFFFF
	version        = 6
	leastVersion   = 2
	maxChunk       = 65535
	maxPacket      = 1 << 20 // octets of a packet that is read
	negotiateBytes = 12
)

var errProtocol = errors.New("filter breaks the milter protocol")

// packet is a command or reply.
type packet struct {
	code byte
	data []byte
}

func writePacket(w io.Writer, code byte, data []byte) error {
	head := make([]byte, 5, 5+len(data))
	binary.BigEndian.PutUint32(head, uint32(len(data)+1))
	head[4] = code
	_, err := w.Write(append(head, data...))
	return err
}

func readPacket(r *bufio.Reader) (p packet, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return p, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || n > maxPacket {
		return p, fmt.Errorf("packet of %d octets: %w", n, errProtocol)
	}
	p.code, p.data = head[4], make([]byte, n-1)
	_, err = io.ReadFull(r, p.data)
	return p, err
}

// words is strings, each with a NUL at its end.
func words(list ...string) []byte {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(strings.ReplaceAll(s, "\x00", "?") + "\x00")
	}
	return []byte(b.String())
}

// cutWords reads n strings with a NUL at their end; the last may lack it.
func cutWords(data []byte, n int) ([]string, error) {
	parts := strings.SplitN(strings.TrimSuffix(string(data), "\x00"), "\x00", n)
	if len(parts) != n {
		return nil, errProtocol
	}
	return parts, nil
}
