package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNotRunning means that nobody listens on the control socket.
var ErrNotRunning = errors.New("gomaild does not run")

// ErrNo is an answer of 503: the daemon runs, and what was asked is not so. The
// text says why.
var ErrNo = errors.New("no")

// refusal is an ErrNo with the reason for its text.
type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrNo }

// Client asks the daemon behind a control socket. ctx bounds each question: a
// daemon that hangs answers nothing.
type Client struct {
	Socket string
}

// maxAnswer bounds what is read of an answer, in octets.
const maxAnswer = 1 << 20

// Ask gets a path. Errors: ErrNotRunning, ErrNo, ctx's.
func (c Client) Ask(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

// Tell posts an order to a path. Errors are those of Ask; after ctx's the order
// may have been carried out.
func (c Client) Tell(ctx context.Context, path string, order []byte) ([]byte, error) {
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(order))
}

func (c Client) do(ctx context.Context, method, path string, order io.Reader) ([]byte, error) {
	answer, err := c.open(ctx, method, path, order)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	return io.ReadAll(io.LimitReader(answer, maxAnswer))
}

// Stream posts an order to a path and gives the answer as it comes, however long
// it is. Errors are those of Ask. Close it.
func (c Client) Stream(ctx context.Context, path string, order []byte) (io.ReadCloser, error) {
	return c.open(ctx, http.MethodPost, path, bytes.NewReader(order))
}

func (c Client) open(ctx context.Context, method, path string, order io.Reader) (io.ReadCloser, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.dial(ctx)
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://gomaild"+path, order)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("gomaild does not answer: %w", ctx.Err())
		}
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil // without keep-alives its Close closes the connection
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusServiceUnavailable {
		return nil, refusal(strings.TrimSpace(string(body)))
	}
	return nil, fmt.Errorf("gomaild answers %s to %s", answer.Status, path)
}

func (c Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotRunning
	}
	return conn, err
}

// Status asks for the daemon's.
func (c Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.Ask(ctx, PathStatus)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// PID is the process that listens, which is known also while it is stopped or
// hangs. ErrNotRunning if there is none.
func (c Client) PID(ctx context.Context) (int, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}
