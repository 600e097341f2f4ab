package index

import (
	"reflect"
	"testing"

	"gomaild/storage"
)

// TestOrders holds that orders are read as they were written, and that whatever
// octet is damaged, or missing at the end, costs the order that it is of and tells
// nothing false of others.
func TestOrders(t *testing.T) {
	t.Parallel()
	orders := []Order{
		{Key: "SORT SUBJECT", UIDs: []storage.UID{1, 7, 4294967295}, Names: []uint32{1, 2, 3}, Octets: []byte("what it is")},
		{Key: "", UIDs: []storage.UID{}, Names: []uint32{}, Octets: []byte{}},
		{Key: "THREAD", UIDs: []storage.UID{3}, Names: []uint32{9}, Octets: []byte{}},
	}
	data := AppendOrdersHeader(nil)
	for _, o := range orders {
		data = AppendOrder(data, o)
	}
	if got := ParseOrders(data); !reflect.DeepEqual(got, orders) {
		t.Errorf("%+v, want %+v", got, orders)
	}
	isTrue := func(got []Order) bool {
		at := 0
		for _, o := range orders {
			if at < len(got) && reflect.DeepEqual(got[at], o) {
				at++
			}
		}
		return at == len(got)
	}
	for i := range data {
		for _, bad := range [][]byte{append([]byte{}, data...), data[:i]} {
			if len(bad) > i {
				bad[i] ^= 0x41
			}
			got := ParseOrders(bad)
			if !isTrue(got) || len(got) == len(orders) {
				t.Errorf("octet %d: %+v", i, got)
			}
		}
	}
}

func FuzzParseOrders(f *testing.F) {
	f.Add(AppendOrder(AppendOrdersHeader(nil), Order{Key: "k", UIDs: []storage.UID{1}, Names: []uint32{2}, Octets: []byte("x")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range ParseOrders(data) {
			again := ParseOrders(AppendOrder(AppendOrdersHeader(nil), o))
			if len(again) != 1 || len(again[0].UIDs) != len(o.UIDs) {
				t.Errorf("%+v is %+v", o, again)
			}
		}
	})
}
