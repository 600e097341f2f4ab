package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"gomaild/internal/tables"
)

// maxFile bounds what Load reads: a file that is larger is not ours.
const maxFile = 1 << 20

// Load reads the file. Its error is Errors, and says all that is wrong.
// Relative paths in the file are taken from the directory of the file.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, Errors{{File: path, Problem: err.Error(), Cause: err}}
	}
	c, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, Errors{{File: path, Problem: err.Error(), Cause: err}}
	}
	c.resolvePaths(dir)
	return c, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; name another file with -c, or write one: gomaild config example > %s", fs.ErrNotExist, path)
	case err != nil:
		return nil, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a file; name the TOML file itself")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("has %d octets, more than a configuration may have (%d); is it the right file?", info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Parse reads the text of a file; name is what errors call it. Paths stay as
// they are.
func Parse(name string, data []byte) (*Config, error) {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, Errors{syntaxError(name, err)}
	}
	c := Default()
	c.source = source{file: name, lines: keyLines(data)}
	d := decoder{src: c.source}
	d.table(c, "", tree)
	if len(c.Listeners) == 0 && !d.failedIn("listener") {
		c.Listeners = defaultListeners()
	}
	for i := range c.Listeners {
		c.Listeners[i].complete(c.RunDir)
	}
	d.errs = append(d.errs, c.validate(d.failedIn)...)
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	return c, nil
}

// syntaxError is for text that is no TOML at all.
func syntaxError(name string, err error) *Error {
	e := &Error{File: name, Problem: "not TOML: " + strings.TrimPrefix(err.Error(), "toml: "), Cause: err}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, _ = at.Position()
	}
	return e
}

// resolvePaths makes the paths of the file absolute.
func (c *Config) resolvePaths(dir string) {
	abs := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	abs(&c.RunDir)
	abs(&c.Storage.Root)
	abs(&c.Accounts.Path)
	abs(&c.Accounts.PasswordFile)
	abs(&c.Accounts.Snapshot)
	abs(&c.Remote.RelayLoginFile)
	abs(&c.Queue.BounceTemplates)
	abs(&c.ACL.Global)
	for _, m := range c.maps() {
		for i, spec := range *m.list {
			if path := tables.Path(spec); path != "" {
				abs(&path)
				(*m.list)[i] = tables.WithPath(spec, path)
			}
		}
	}
	for i := range c.TLS.Certificates {
		abs(&c.TLS.Certificates[i].Cert)
		abs(&c.TLS.Certificates[i].Key)
	}
	for i := range c.Listeners {
		if network, path := c.Listeners[i].Endpoint(); network == "unix" {
			abs(&path)
			c.Listeners[i].Address = unixPrefix + path
		}
	}
}

// lookupMaps is a key whose value is lookup tables.
type lookupMaps struct {
	path string
	list *[]string
}

// maps are all keys with lookup tables.
func (c *Config) maps() []lookupMaps {
	return []lookupMaps{
		{"routing.transport_maps", &c.Routing.TransportMaps},
		{"routing.relay_recipient_maps", &c.Routing.RelayRecipientMaps},
		{"routing.sender_bcc_maps", &c.Routing.SenderBCCMaps},
		{"routing.recipient_bcc_maps", &c.Routing.RecipientBCCMaps},
		{"acl.group_maps", &c.ACL.GroupMaps},
		{"remote.sender_relay_maps", &c.Remote.SenderRelayMaps},
		{"remote.password_maps", &c.Remote.PasswordMaps},
		{"remote.tls_policy_maps", &c.Remote.TLSPolicyMaps},
	}
}

// Same reports whether other says the same, wherever it stands.
func (c *Config) Same(other *Config) bool {
	a, b := *c, *other
	a.source, b.source = source{}, source{}
	return reflect.DeepEqual(a, b)
}
