package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	gosmtp "github.com/emersion/go-smtp"
	"golang.org/x/sys/unix"

	"gomaild/daemon"
	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/message"
)

// This is `gomaild deliver`, which Postfix's pipe(8) runs once for each message
// and recipient in the place of Dovecot's deliver. Postfix sees the exit status
// and what is printed: an output that begins with an enhanced status code
// replaces what the exit status says, and any status that sysexits.h does not
// name bounces the mail. So there is one way out, exitOf, and what is not
// understood is 75, try again.
//
// The message goes to the running daemon through the socket of its lda
// listener. Where nobody listens, it goes straight into the Maildir, by the
// same code in this process; so does a message that DATA would not carry
// unchanged (a bare CR, a last line without its end), and one with -m.

const (
	deliverMemory  = 1 << 20          // octets of a message held in memory; more go to a file
	deliverTimeout = 10 * time.Minute // well inside the 1000 s that Postfix waits
)

const deliverUsage = `Usage: gomaild deliver -d RECIPIENT [-f SENDER] [-m FOLDER] [-p FILE] [-c FILE]
                       [-a ORIGINAL-RECIPIENT] [-r FINAL-RECIPIENT] [-o KEY=VALUE] [-e] [-k]

Delivers one message from standard input, as Postfix's pipe calls it.

  -d RECIPIENT  whose mailbox; required
  -f SENDER     envelope sender; without it, the Return-Path field of the message
  -m FOLDER     mailbox to deliver to, made when it is missing
  -p FILE       read the message from FILE
  -c FILE       configuration, default ` + config.DefaultPath + `
  -o socket=F   unix socket of the daemon's lda listener, instead of what the
                configuration says; other keys are for Dovecot and do nothing
  -a, -r, -e, -k  are taken for Dovecot's sake and change nothing

Exit status: 0 delivered, 67 no such user, 77 refused, 75 try again, 64 usage.
Where no daemon listens, the message goes straight into the Maildir.
`

// deliverOptions are the command line.
type deliverOptions struct {
	config, socket        string
	recipient             string
	sender                string
	folder, file          string
	original, final, rest string // read and not used
}

// delivery is one run of deliver with what it needs of the world.
type delivery struct {
	deliverOptions
	loadConfig func(path string) (*config.Config, error)
	direct     func(ctx context.Context, c *config.Config, o receive.Order) error
	timeout    time.Duration
}

// runDeliver is the whole command: arguments in, exit status out.
func runDeliver(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") { // with more, it may be a delivery
		fmt.Fprint(stdout, deliverUsage)
		return exitOK
	}
	d := delivery{loadConfig: config.Load, direct: daemon.DeliverDirect, timeout: deliverTimeout}
	return d.main(args, stdin, stdout, stderr)
}

func (d *delivery) main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := d.parse(args); err != nil {
		fmt.Fprint(stdout, deliverUsage)
		fmt.Fprintf(stderr, "gomaild deliver: %v\n", err)
		return exitUsage
	}
	code, text := exitOf(d.runSafely(stdin))
	if text != "" {
		fmt.Fprintln(stderr, text)
	}
	return code
}

// runSafely makes a panic an error: the runtime would exit with 2, and Postfix
// would bounce the mail for it.
func (d *delivery) runSafely(stdin io.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return d.run(stdin)
}

// exitOf is the exit status for an outcome and the line that explains it. A
// status begins the line, because Postfix takes its code from there; other
// errors must not begin with a digit.
func exitOf(err error) (code int, text string) {
	if err == nil {
		return exitOK, ""
	}
	s, ok := errors.AsType[*mail.Status](err)
	if !ok {
		return exitTempFail, "gomaild deliver: " + oneLine(err.Error())
	}
	text = s.Enhanced + " " + oneLine(s.Text)
	switch {
	case s.Code < 500:
		return exitTempFail, text
	case strings.HasPrefix(s.Enhanced, "5.1."):
		return exitNoUser, text
	}
	return exitNoPerm, text
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// parse reads the options in the manner of getopt(3).
func (d *delivery) parse(args []string) error {
	values := map[byte]*string{
		'a': &d.original, 'c': &d.config, 'd': &d.recipient, 'f': &d.sender,
		'm': &d.folder, 'o': &d.rest, 'p': &d.file, 'r': &d.final,
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			return fmt.Errorf("unknown argument: %q", arg)
		}
		if strings.Trim(arg[1:], "ek") == "" {
			continue
		}
		to, ok := values[arg[1]]
		switch {
		case !ok:
			return fmt.Errorf("unknown option: %q", arg)
		case len(arg) > 2:
			*to = arg[2:]
		case i+1 == len(args):
			return fmt.Errorf("option %s needs a value", arg)
		default:
			i++
			*to = args[i]
		}
		if err := d.setting(arg[1]); err != nil {
			return err
		}
	}
	if d.recipient == "" {
		return errors.New("no recipient; say -d RECIPIENT")
	}
	return nil
}

// setting takes in an -o as soon as it is read, since there may be several.
func (d *delivery) setting(option byte) error {
	if option != 'o' {
		return nil
	}
	key, value, ok := strings.Cut(d.rest, "=")
	if !ok {
		return fmt.Errorf("-o %q is not KEY=VALUE", d.rest)
	}
	if key == "socket" {
		d.socket = value
	}
	return nil
}

// run delivers.
func (d *delivery) run(stdin io.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	to, ok := looseAddress(d.recipient)
	if !ok {
		return &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "User unknown"}
	}
	in, err := d.input(stdin)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	defer in.close()
	from, err := d.from(in)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if d.folder == "" && in.travels {
		err := d.throughSocket(ctx, from, to, in)
		if !isNobodyThere(err) {
			return err
		}
	}
	c, err := d.loadConfig(d.configPath())
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return d.direct(ctx, c, receive.Order{
		Session: fmt.Sprintf("deliver-%d", os.Getpid()),
		From:    mail.ReversePath{Address: from, UTF8: from.NeedsUTF8()}, To: to, Folder: d.folder, Content: in.wire(),
	})
}

func (d *delivery) configPath() string {
	if d.config == "" {
		return config.DefaultPath
	}
	return d.config
}

// looseAddress reads an address as Postfix passes it: the local part without
// its quotes, whatever it holds.
func looseAddress(s string) (mail.Address, bool) {
	if a, err := mail.ParseAddress(s); err == nil {
		return a, true
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return mail.Address{}, false
	}
	domain, err := mail.ParseDomain(s[at+1:])
	if err != nil {
		return mail.Address{}, false
	}
	a, err := mail.ParseAddress(mail.Address{Local: s[:at], Domain: domain}.String())
	return a, err == nil && utf8.ValidString(s)
}

// from is the reverse-path. Postfix passes the null reverse-path as
// MAILER-DAEMON; without -f the Return-Path field counts, as with Dovecot. A
// sender that is no address is null too: the mail arrives, and nobody answers
// it.
func (d *delivery) from(in *input) (mail.Address, error) {
	s := strings.TrimSpace(d.sender)
	if s == "" || s == "<>" {
		for f, err := range message.Fields(in.content, in.span) {
			if err != nil {
				return mail.Address{}, err
			}
			if f.Is("Return-Path") {
				s = strings.Trim(f.Text(), "<>")
				break
			}
		}
	}
	a, _ := looseAddress(s)
	return a, nil
}

// input is the message, random access.
type input struct {
	content message.Content
	span    message.Span // without a first line "From ..."
	travels bool         // DATA carries it unchanged
	close   func()
}

// wire reads the message with CRLF line ends.
func (in *input) wire() io.Reader { return message.NewWireReader(in.content, in.span) }

// file is message.Content on an open file.
type file struct {
	*os.File
	size int64
}

// Size implements message.Content.
func (f file) Size() int64 { return f.size }

// input reads the message to its end: only then is it known to be whole, and
// how it may travel.
func (d *delivery) input(stdin io.Reader) (*input, error) {
	in := &input{close: func() {}}
	if d.file != "" {
		f, err := os.Open(d.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	head, err := io.ReadAll(io.LimitReader(stdin, deliverMemory+1))
	if err != nil {
		return nil, err
	}
	in.content = bytes.NewReader(head)
	if len(head) > deliverMemory {
		f, err := namelessFile(io.MultiReader(bytes.NewReader(head), stdin))
		if err != nil {
			return nil, err
		}
		in.content, in.close = f, func() { f.Close() }
	}
	if err := in.inspect(); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// namelessFile holds a large message in a file that is gone with the process:
// on disk, or in memory where the file system has no O_TMPFILE (older
// overlayfs) or the directory cannot be written to.
func namelessFile(r io.Reader) (file, error) {
	dir := os.TempDir()
	fd, err := unix.Open(dir, unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		fd, err = unix.MemfdCreate("gomaild-deliver", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return file{}, &fs.PathError{Op: "make a file in", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	size, err := io.Copy(f, r)
	if err != nil {
		f.Close()
		return file{}, err
	}
	return file{f, size}, nil
}

// inspect finds where the message begins (a first line "From " is of an mbox
// file, not of the message) and whether it travels.
func (in *input) inspect() error {
	in.span = message.Span{Len: in.content.Size()}
	r := bufio.NewReader(io.NewSectionReader(in.content, 0, in.span.Len))
	if start, _ := r.Peek(5); string(start) == "From " {
		n, err := skipLine(r)
		if err != nil {
			return err
		}
		in.span = message.Span{Off: n, Len: in.span.Len - n}
	}
	last := byte(0)
	in.travels = true
	for {
		piece, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if piece, err = r.Peek(r.Buffered()); err != nil {
			return err
		}
		if hasBareCR(last, piece) {
			in.travels = false
		}
		last = piece[len(piece)-1]
		if _, err := r.Discard(len(piece)); err != nil {
			return err
		}
	}
	in.travels = in.travels && last == '\n'
	return nil
}

// skipLine passes over a line and tells its length.
func skipLine(r *bufio.Reader) (n int64, err error) {
	for {
		line, err := r.ReadSlice('\n')
		n += int64(len(line))
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
	}
}

// hasBareCR finds a CR without LF in a piece that follows the octet last. One
// at the end of the piece is judged with the next.
func hasBareCR(last byte, piece []byte) bool {
	if last == '\r' && piece[0] != '\n' {
		return true
	}
	for {
		i := bytes.IndexByte(piece, '\r')
		if i < 0 || i == len(piece)-1 {
			return false
		}
		if piece[i+1] != '\n' {
			return true
		}
		piece = piece[i+1:]
	}
}

// isNobodyThere reports that no daemon listens: it does not run.
func isNobodyThere(err error) bool {
	return errors.Is(err, errNoSocket) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// errNoSocket means that the configuration has no lda listener.
var errNoSocket = errors.New("no lda listener is configured")

// socketPath is where the daemon listens for us.
func (d *delivery) socketPath() (string, error) {
	if d.socket != "" {
		return d.socket, nil
	}
	c, err := d.loadConfig(d.configPath())
	if err != nil {
		// Not an error of fs: a missing file is not a missing daemon.
		return "", fmt.Errorf("configuration: %v", err)
	}
	for _, l := range c.Listeners {
		if network, path := l.Endpoint(); l.Type == config.LDA && network == "unix" {
			return path, nil
		}
	}
	return "", errNoSocket
}

// throughSocket hands the message to the daemon. What isNobodyThere reports
// has happened before anything was sent.
func (d *delivery) throughSocket(ctx context.Context, from, to mail.Address, in *input) error {
	path, err := d.socketPath()
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	// The client sets deadlines for each command, and none for the content.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := gosmtp.NewClientLMTP(conn)
	defer c.Close()
	// No QUIT afterwards: it is delivered, and one process for each message
	// has no time for a farewell.
	if err := transfer(c, from, to, in.wire()); err != nil {
		return daemonStatus(err)
	}
	return nil
}

// transfer is the LMTP transaction. One recipient makes one reply.
func transfer(c *gosmtp.Client, from, to mail.Address, content io.Reader) error {
	opts := &gosmtp.MailOptions{UTF8: from.NeedsUTF8() || to.NeedsUTF8()}
	if err := c.Mail(from.String(), opts); err != nil {
		return err
	}
	if err := c.Rcpt(to.String(), nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, content); err != nil {
		return err
	}
	return w.Close()
}

// daemonStatus is the daemon's reply as a status. Anything else that went
// wrong is temporary; its text must not be taken for a missing daemon.
func daemonStatus(err error) error {
	reply, ok := errors.AsType[*gosmtp.SMTPError](err)
	if !ok {
		return fmt.Errorf("daemon: %v", err)
	}
	enhanced := fmt.Sprintf("%d.%d.%d", reply.EnhancedCode[0], reply.EnhancedCode[1], reply.EnhancedCode[2])
	if reply.EnhancedCode[0] != reply.Code/100 {
		enhanced = fmt.Sprintf("%d.0.0", reply.Code/100)
	}
	return &mail.Status{Code: reply.Code, Enhanced: enhanced, Text: reply.Message}
}
