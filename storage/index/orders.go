package index

import (
	"encoding/binary"
	"math"

	"gomaild/storage"
)

// Order is something that was worked out of the messages of a mailbox, such as
// their order by subject (storage.Lasting). Like the digests it can be lost at any
// time.
//
// They are a file of the line ordersMagic and for each order its length and
// checksum, four octets each, its key, the UIDs and names of its messages, and
// what it is to its owner. The file is written whole.
type Order struct {
	Key    string
	UIDs   []storage.UID // ascending
	Names  []uint32      // as in Facts
	Octets []byte
}

// ordersMagic is the version too: of this form, and of what orders are made by.
// Whoever changes how messages are compared or threaded, or the form of Octets,
// changes it.
const ordersMagic = "gomaild orders 1\n"

// AppendOrdersHeader adds the beginning of a file.
func AppendOrdersHeader(dst []byte) []byte { return append(dst, ordersMagic...) }

// AppendOrder adds an order.
func AppendOrder(dst []byte, o Order) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, 8)...)
	dst = appendString(dst, o.Key)
	dst = appendNumbers(dst, uint64(len(o.UIDs)))
	var last storage.UID
	for _, uid := range o.UIDs {
		dst = binary.AppendUvarint(dst, uint64(uid-last))
		last = uid
	}
	for i := range o.UIDs {
		dst = binary.LittleEndian.AppendUint32(dst, o.Names[i])
	}
	dst = append(dst, o.Octets...)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-8))
	binary.LittleEndian.PutUint32(dst[at+4:], checksum(dst[at+8:]))
	return dst
}

// ParseOrders reads a file. What is damaged is left out. Octets are those of data.
func ParseOrders(data []byte) []Order {
	if len(data) < len(ordersMagic) || string(data[:len(ordersMagic)]) != ordersMagic {
		return nil
	}
	var orders []Order
	for data = data[len(ordersMagic):]; len(data) >= 8; {
		size, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		if data = data[8:]; uint64(size) > uint64(len(data)) {
			break
		}
		entry := data[:size:size]
		data = data[size:]
		if checksum(entry) != sum {
			continue
		}
		if o, ok := parseOrder(entry); ok {
			orders = append(orders, o)
		}
	}
	return orders
}

func parseOrder(b []byte) (o Order, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return o, false
	}
	o.Key, b = string(b[size:size+int(n)]), b[size+int(n):]
	n, size = binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)/5 { // each has a UID and a name
		return o, false
	}
	b = b[size:]
	o.UIDs, o.Names = make([]storage.UID, n), make([]uint32, n)
	last := uint64(0)
	for i := range o.UIDs {
		step, size := binary.Uvarint(b)
		if size <= 0 || step == 0 || step > math.MaxUint32-last {
			return o, false
		}
		last += step
		o.UIDs[i], b = storage.UID(last), b[size:]
	}
	if n > uint64(len(b))/4 {
		return o, false
	}
	for i := range o.Names {
		o.Names[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	o.Octets = b[4*n:]
	return o, true
}
