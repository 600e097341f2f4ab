package filter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"gomaild/internal/durable"
	"gomaild/sieve"
)

// maxScript is the most that is read of one script.
const maxScript = 1 << 20

// cache keeps compiled scripts as long as the files they came from are the
// same. It is emptied when it is full.
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
}

const maxCached = 2000

// entry is a compiled script, or the error of one that cannot be compiled.
type entry struct {
	script *sieve.Script
	err    error
	files  []version
}

// version is a file as it was when it was read; only the name if it was not
// there. The number of the file tells of a link that leads to another one.
type version struct {
	name   string
	number uint64
	mtime  time.Time
	size   int64
}

func (c *cache) get(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[key]
}

func (c *cache) put(key string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxCached {
		c.entries = map[string]*entry{}
	}
	c.entries[key] = e
}

// scripts are those to run, in order. One that is broken is left out and
// complained of.
func (r *run) scripts(ctx context.Context) []*sieve.Script {
	if r.NoScripts {
		return nil
	}
	names := append([]string{}, r.Before...)
	own := path.Join(r.dir, defaultScript)
	var err error
	switch r.own, err = r.stat(own); {
	case !errors.Is(err, fs.ErrNotExist), r.Default != "" && r.isLink(own):
		names = append(names, own)
	case r.Default != "":
		names = append(names, r.Default)
	}
	return r.compiled(ctx, r.engine, append(names, r.After...)...)
}

// compiled are the scripts of the files.
func (r *run) compiled(ctx context.Context, engine *sieve.Engine, names ...string) []*sieve.Script {
	var list []*sieve.Script
	for _, name := range names {
		e := r.load(engine, name)
		switch {
		case e.err == nil:
			list = append(list, e.script)
		case errors.Is(e.err, fs.ErrNotExist):
			r.log.DebugContext(ctx, "no sieve script", "script", name)
		default:
			r.complain(ctx, e.err.Error())
		}
	}
	return list
}

// load is a script from the cache, or compiled anew if a file of it changed.
// One outside of the account's directory is the administrator's.
func (r *run) load(engine *sieve.Engine, name string) *entry {
	key := r.dir + "\x00" + name
	if engine == r.imap {
		key += "\x00imap"
	}
	if e := r.cache.get(key); e != nil && r.isFresh(e) {
		return e
	}
	e := &entry{}
	read := func(name string) ([]byte, error) {
		data, v, err := r.read(name)
		e.files = append(e.files, v)
		return data, err
	}
	compile := engine.CompileTrusted
	if strings.HasPrefix(name, r.dir+"/") {
		compile = engine.Compile
	}
	src, err := read(name)
	if err != nil {
		e.err = err
	} else {
		e.script, e.err = compile(strings.TrimSuffix(path.Base(name), ".sieve"), src, r.includes(read))
	}
	r.cache.put(key, e)
	return e
}

func (r *run) isFresh(e *entry) bool {
	for _, f := range e.files {
		if f == r.own { // just looked at
			continue
		}
		if now, err := r.stat(f.name); now != f || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// isLink reports a link, though it may lead nowhere.
func (r *run) isLink(name string) bool {
	_, err := r.FS.Lstat(name)
	return err == nil
}

// stat is the version of a file now; only its name where there is none.
func (r *run) stat(name string) (version, error) {
	v := version{name: name}
	info, err := r.FS.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if target := r.follow(name); target != name {
			info, err = r.FS.Stat(target)
		}
	}
	if err != nil {
		return v, err
	}
	if !info.Mode().IsRegular() {
		return v, fmt.Errorf("script %s is no file", path.Base(name))
	}
	v.mtime, v.size = info.ModTime(), info.Size()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		v.number = st.Ino
	}
	return v, nil
}

func (r *run) read(name string) ([]byte, version, error) {
	v, err := r.stat(name)
	if err != nil {
		return nil, v, err
	}
	if v.size > maxScript {
		return nil, v, fmt.Errorf("%s: error: sieve script is too large (max %d bytes)", path.Base(name), maxScript)
	}
	data, err := durable.ReadFile(r.FS, r.follow(name))
	return data, v, err
}

// follow resolves a link that holds the absolute path of the mail root, as
// Dovecot may have written it; other links stay for the file system, which does
// not let them leave the root.
func (r *run) follow(name string) string {
	target, err := r.FS.Readlink(name)
	if err != nil || r.Root == "" {
		return name
	}
	if inside, ok := strings.CutPrefix(target, strings.TrimSuffix(r.Root, "/")+"/"); ok {
		return path.Clean(inside)
	}
	return name
}

// maxLog bounds the log beside a script.
const maxLog = 10 << 10

// complain writes what is wrong with a script where its user can read it:
// beside the script, the newest last.
func (r *run) complain(ctx context.Context, text string) {
	r.log.InfoContext(ctx, "sieve", "problem", text)
	if r.home == nil { // one writer at a time
		h := r.lock(r.dir)
		defer r.unlock(r.dir, h)
	}
	name := path.Join(r.dir, defaultScript+".log")
	var old []byte
	if info, err := r.FS.Lstat(name); err == nil && info.Mode().IsRegular() && info.Size() <= 2*maxLog {
		if old, err = durable.ReadFile(r.FS, name); err != nil {
			old = nil
		}
	}
	line := r.Now().UTC().Format(time.RFC3339) + " " + strings.TrimSpace(text) + "\n"
	if len(line) > maxLog {
		line = line[:maxLog-1] + "\n"
	}
	if keep := maxLog - len(line); len(old) > keep {
		old = old[len(old)-keep:]
	}
	if err := r.write(name, append(old, line...)); err != nil {
		r.log.WarnContext(ctx, "write sieve log", "error", err)
	}
}
