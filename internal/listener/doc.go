// Package listener accepts connections for every protocol server: it binds,
// limits connections in total and per client, does implicit TLS, and stops in
// two phases. It knows no protocol.
package listener

import (
	"context"
	"net"
)

// Handler serves one connection and returns when the connection is done with;
// the listener closes it afterwards. When drain closes, the handler takes no
// new work: it says goodbye to an idle client at once (421, * BYE), finishes a
// command or message in progress and returns. When ctx ends the grace is over:
// the listener closes the connection beneath the handler, which returns.
type Handler interface {
	Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn)
}
