package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gomaild/internal/config"
	"gomaild/internal/maillog"
	"gomaild/mail"
)

// whyCommand tells the story of messages from the log.
func (a *app) whyCommand() *cobra.Command {
	var path string
	var logs []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "why MESSAGE-ID|ADDRESS|ID",
		Short: "Tell from the log what happened to a message, or to an address's mail",
		Long: `why reads the log of the configuration, if it is a file, with those that were
rotated away (NAME.1, NAME.2.gz, NAME-20260301), or the files that --log names,
oldest first; a name that ends with .gz is read as gzip. It prints what happened to the messages that are meant: one with a Message-ID, those from
or to an address, or one with an id of ours, as in a reply, a Received field or
another line.

It exits with 1 when the log knows nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := logFiles(path, logs)
			if err != nil {
				return err
			}
			return a.why(files, args[0], asJSON)
		},
	}
	configFlag(c, &path)
	c.Flags().StringArrayVarP(&logs, "log", "l", nil, "a log `FILE`; may be given several times")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

// errNoLogFile is for a log that is not kept where it could be read.
var errNoLogFile = errors.New("the log is not a file; name one with --log")

// logFiles are the files to read, the oldest first.
func logFiles(path string, named []string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	name := cfg.Log.Destination
	if !filepath.IsAbs(name) {
		return nil, errNoLogFile
	}
	old, err := rotated(name)
	return append(old, name), err
}

// rotatedSuffix is what logrotate puts behind a name, by number or by date.
var rotatedSuffix = regexp.MustCompile(`^(\.\d+|-\d{8}(-?\d+)?)(\.gz)?$`)

// rotated are the files of a log that were rotated away, the oldest first.
func rotated(name string) ([]string, error) {
	dir, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	var old []fs.FileInfo
	for _, e := range dir {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(name))
		if !ok || !rotatedSuffix.MatchString(suffix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		old = append(old, info)
	}
	slices.SortStableFunc(old, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	var names []string
	for _, f := range old {
		names = append(names, filepath.Join(filepath.Dir(name), f.Name()))
	}
	return names, nil
}

func (a *app) why(files []string, query string, asJSON bool) error {
	story := maillog.NewStory(query)
	for learned := true; learned; {
		learned = false
		err := eachLog(files, func(r io.Reader) error {
			more, err := story.Find(r)
			learned = learned || more
			return err
		})
		if err != nil {
			return err
		}
	}
	told := teller{out: a.out, asJSON: asJSON}
	err := eachLog(files, func(r io.Reader) error { return story.Tell(r, told.line) })
	if err != nil {
		return err
	}
	if told.lines == 0 {
		return fmt.Errorf("nothing about %q in %s", query, strings.Join(files, ", "))
	}
	return nil
}

func eachLog(files []string, do func(r io.Reader) error) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = errors.Join(readLog(f, do), f.Close())
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func readLog(f *os.File, do func(r io.Reader) error) error {
	if !strings.HasSuffix(f.Name(), ".gz") {
		return do(f)
	}
	r, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return do(r)
}

// teller prints the lines of a story.
type teller struct {
	out    io.Writer
	asJSON bool
	lines  int
}

func (t *teller) line(e *maillog.Entry) error {
	t.lines++
	if !t.asJSON {
		_, err := fmt.Fprintf(t.out, "%s  %s\n", e.Time, sentence(e))
		return err
	}
	object := map[string]string{"time": e.Time, "event": e.Event}
	if e.Text != "" {
		object["text"] = e.Text
	}
	for _, f := range e.Fields {
		object[f.Key] = f.Value
	}
	return json.NewEncoder(t.out).Encode(object)
}

// sentence says an event in words; one that it does not know with its fields.
func sentence(e *maillog.Entry) string {
	if e.Text != "" {
		return e.Event + ": " + e.Text
	}
	id := e.Get("id")
	if id == "" {
		id = e.Get("queue_id")
	}
	who := fmt.Sprintf("from <%s>", e.Get("from"))
	if c := e.Get("client"); c != "" {
		who += " at " + c
	}
	if account := e.Get("account"); account != "" {
		who += " logged in as " + account
	}
	said := strings.TrimSpace(e.Get("status") + " " + e.Get("reply"))
	if check := e.Get("check"); check != "" {
		said += " [" + check + "]"
	}
	if cause := e.Get("error"); cause != "" && !strings.Contains(cause, e.Get("reply")) {
		said += " (" + cause + ")"
	}
	where := ""
	if remote := e.Get("remote"); remote != "" {
		where = " by " + remote
	}
	switch e.Event {
	case mail.EventAccepted:
		return fmt.Sprintf("%s  accepted %s, Message-ID %s, %s octets, recipients: %s", id, who, e.Get("message_id"), e.Get("size"), e.Get("recipients"))
	case mail.EventQueued:
		if about := e.Get("about"); about != "" {
			return fmt.Sprintf("%s  queued from <%s> for <%s>, because of %s", id, e.Get("from"), e.Get("to"), about)
		}
		return fmt.Sprintf("%s  queued for <%s> as %s", id, e.Get("to"), e.Get("queue_id"))
	case mail.EventFiltered:
		return fmt.Sprintf("%s  filtered for <%s>: %s", id, e.Get("to"), e.Get("actions"))
	case mail.EventDiscarded:
		return fmt.Sprintf("%s  discarded for <%s>, as a milter wants", id, e.Get("to"))
	case mail.EventDelivered:
		return fmt.Sprintf("%s  delivered to <%s>%s", id, e.Get("to"), where)
	case mail.EventRejected, mail.EventDeferred:
		if stage := e.Get("stage"); stage != "" {
			return fmt.Sprintf("%s  %s %s, to <%s>, at %s: %s", id, e.Event, who, e.Get("to"), strings.ToUpper(stage), said)
		}
		return fmt.Sprintf("%s  deferred for <%s>%s, attempt %s: %s", id, e.Get("to"), where, e.Get("attempt"), said)
	case mail.EventBounced:
		return fmt.Sprintf("%s  given up for <%s>%s, attempt %s: %s", id, e.Get("to"), where, e.Get("attempt"), said)
	}
	var b strings.Builder
	b.WriteString(e.Event)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " %s=%q", f.Key, f.Value)
	}
	return b.String()
}
