package listener

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

// TestFreeBind holds that an address which this host has not got can be listened
// on where that is asked for, and not otherwise.
func TestFreeBind(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1:0", "[2001:db8::1]:0"} { // of RFC 5737 and RFC 3849
		for _, free := range []bool{false, true} {
			l := New(Config{Address: address, FreeBind: free, Handler: nobody{}})
			err := l.Listen(t.Context())
			if free != (err == nil) || !free && !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("%s, free: %v: %v", address, free, err)
			}
			if host, _, _ := net.SplitHostPort(address); err == nil && l.Addr().(*net.TCPAddr).IP.String() != host { //nolint:forcetypeassert // TCP
				t.Errorf("%s is bound to %v", address, l.Addr())
			}
			if err := l.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

type nobody struct{}

func (nobody) Serve(context.Context, <-chan struct{}, net.Conn) {}
