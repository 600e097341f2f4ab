package maillog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Entry is one line of a log, read back.
type Entry struct {
	Time   string // as it stands there
	Level  string // "" in Postfix's form
	Event  string // the name; in Postfix's form the tag
	Text   string // the line behind time and name, in Postfix's form
	Fields []Field
}

// Field is a key and a value of an Entry.
type Field struct{ Key, Value string }

// Get is the value of a key, "" if there is none.
func (e *Entry) Get(key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// Read reads a line in any of the forms that are written. It is false for what is
// in none of them.
func Read(line string) (Entry, bool) {
	line = strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "{"):
		return readJSON(line)
	case strings.HasPrefix(line, "time="):
		return readText(line)
	}
	return readPostfix(line)
}

// readJSON keeps the order of the fields; a value that is not text stays as it
// is written.
func readJSON(line string) (e Entry, ok bool) {
	d := json.NewDecoder(strings.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return e, false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return e, false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return e, false
		}
		value := string(bytes.TrimSpace(raw))
		if strings.HasPrefix(value, `"`) {
			_ = json.Unmarshal(raw, &value) // Decode has looked at it
		}
		e.put(fmt.Sprint(key), value)
	}
	return e, e.Event != ""
}

// readText reads slog's text: key=value, either of them quoted where it must be.
func readText(line string) (e Entry, ok bool) {
	for line != "" {
		key, rest, found := strings.Cut(line, "=")
		if !found {
			return e, false
		}
		value := rest
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return e, false
			}
			value, _ = strconv.Unquote(quoted) // QuotedPrefix has looked at it
			rest = strings.TrimPrefix(rest[len(quoted):], " ")
		} else {
			value, rest, _ = strings.Cut(rest, " ")
		}
		e.put(key, value)
		line = rest
	}
	return e, e.Event != ""
}

func (e *Entry) put(key, value string) {
	switch key {
	case "time":
		e.Time = value
	case "level":
		e.Level = value
	case "msg":
		e.Event = value
	default:
		e.Fields = append(e.Fields, Field{key, value})
	}
}

// postfixPatterns are the parts of a line of Postfix or Dovecot.
type postfixPatterns struct {
	line, id, pair *regexp.Regexp
}

// patterns are compiled by the first who reads a log: a server and `gomaild
// deliver` never do.
var patterns = sync.OnceValue(func() postfixPatterns {
	return postfixPatterns{
		line: regexp.MustCompile(`^(\w{3} [ \d]\d \d\d:\d\d:\d\d) \S+ ([\w/-]+)\[\d+\]: (.*)$`),
		id:   regexp.MustCompile(`^(\w+): `),
		pair: regexp.MustCompile(`\b(from|to|id|queue_id|about|message-id|msgid|client|sasl_username|user)=(?:<([^>]*)>|([^\s,;]*))`),
	}
})

// postfixKeys are our names for Postfix's and Dovecot's.
var postfixKeys = map[string]string{"message-id": "message_id", "msgid": "message_id", "sasl_username": "account", "user": "account"}

func readPostfix(line string) (e Entry, ok bool) {
	form := patterns()
	m := form.line.FindStringSubmatch(line)
	if m == nil {
		return e, false
	}
	e = Entry{Time: m[1], Event: m[2], Text: m[3]}
	if id := form.id.FindStringSubmatch(m[3]); id != nil && strings.HasPrefix(m[2], "postfix/") && !slices.Contains([]string{"NOQUEUE", "warning"}, id[1]) {
		e.Fields = append(e.Fields, Field{"id", id[1]})
	}
	for _, p := range form.pair.FindAllStringSubmatch(m[3], -1) {
		key := p[1]
		if ours, known := postfixKeys[key]; known {
			key = ours
		}
		value := p[2] + p[3]
		if slices.Contains(idKeys, key) {
			value = postfixForm(value)
		}
		e.Fields = append(e.Fields, Field{key, value})
	}
	return e, true
}
