package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

const aliceLock = "example.org/alice@example.org/dovecot-uidlist.lock"

// box is one open INBOX of alice for tests that need nothing else.
type box struct {
	t       *testing.T
	fs      durable.FS
	store   *Store
	account storage.Account
	storage.Mailbox
	broken bool // faults are part of the test
}

func newBox(t *testing.T, c Config) *box {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, fs: c.FS, store: s}
	b.account, err = s.Account(t.Context(), storagetest.Alice())
	if err != nil {
		t.Fatal(err)
	}
	b.Mailbox, err = b.account.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) close() {
	b.t.Helper()
	if faults, err := b.account.Check(context.WithoutCancel(b.t.Context())); !b.broken && (err != nil || len(faults) > 0) {
		b.t.Errorf("the account breaks its rules: %q, %v", faults, err)
	}
	if err := errors.Join(b.Mailbox.Close(), b.account.Close(), b.store.Close()); err != nil {
		b.t.Error(err)
	}
}

func (b *box) append(subject string) storage.UID {
	b.t.Helper()
	uid, err := b.Append(b.t.Context(), storagetest.Draft(subject))
	if err != nil {
		b.t.Fatal(err)
	}
	return uid
}

func (b *box) write(name, data string) {
	b.t.Helper()
	b.writeMode(name, data, 0o600)
}

func (b *box) writeMode(name, data string, mode fs.FileMode) {
	b.t.Helper()
	f, err := b.fs.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err == nil {
		_, err = f.Write([]byte(data))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read(name string) string {
	b.t.Helper()
	data, err := durable.ReadFile(b.fs, name)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

// TestStaleLocks says how long each kind of lock is waited for.
func TestStaleLocks(t *testing.T) {
	t.Parallel()
	dead := strconv.Itoa(1 << 30) // above every pid
	for _, tt := range []struct {
		rule    string
		content string
		mode    fs.FileMode
		before  bool // the lock is older than the store
		alone   bool
		wait    time.Duration
	}{
		{"an empty lock, as Dovecot makes them", "", 0o600, false, false, staleAfter},
		{"an old empty lock of Dovecot is watched all the same", "", 0o600, true, false, staleAfter},
		{"an old empty lock when nobody else was there", "", 0o600, true, true, 0},
		{"an old empty lock of gomaild: it was killed before it wrote", "", lockMode, true, false, 0},
		{"an empty lock of gomaild that is new", "", lockMode, false, false, staleAfter},
		{"a dead process of this host", dead + ":here", lockMode, false, false, 0},
		{"ourselves", strconv.Itoa(os.Getpid()) + ":here", lockMode, false, false, staleAfter},
		{"our number, in a life before", strconv.Itoa(os.Getpid()) + ":here", lockMode, true, false, 0},
		{"another host before us: it lost the mount", "1:there", lockMode, true, false, 0},
		{"another host after us", "1:there", lockMode, false, false, staleAfter},
		{"garbage", "x:here", 0o600, false, false, staleAfter},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tree := crashfs.New()
				first := newBox(t, Config{FS: tree, Hostname: "here"})
				first.append("a")
				if tt.before {
					first.writeMode(aliceLock, tt.content, tt.mode)
				}
				first.close()
				time.Sleep(time.Hour)
				b := newBox(t, Config{FS: tree, Hostname: "here", Alone: tt.alone})
				defer b.close()
				time.Sleep(time.Hour)
				if !tt.before {
					b.writeMode(aliceLock, tt.content, tt.mode)
				}
				begun := time.Now()
				b.append("b")
				if waited := time.Since(begun); waited < tt.wait || waited > tt.wait+time.Second {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

// TestLockIsWaitedFor holds that a lock of a living program is waited for, that
// the context ends the wait, and that delivery and reading do not wait.
func TestLockIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, Config{FS: crashfs.New(), Hostname: "here"})
		defer b.close()
		b.append("a")
		v, err := b.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.write(aliceLock, "")
		begun := time.Now()
		if err := b.Deliver(t.Context(), storagetest.Draft("delivered")); err != nil {
			t.Error(err)
		}
		if got := storagetest.Read(t, b, v.Messages[0].UID); got != storagetest.Text("a") {
			t.Errorf("read %q", got)
		}
		if time.Since(begun) != 0 {
			t.Error("delivery or reading waited")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.View(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, storage.ErrInUse) {
			t.Errorf("View behind a lock: %v", err)
		}
		time.AfterFunc(10*time.Second, func() {
			if err := b.fs.Remove(aliceLock); err != nil {
				t.Error(err)
			}
		})
		b.append("b")
		if v := storagetest.Check(t, b.Mailbox); len(v.Messages) != 3 {
			t.Errorf("%d messages", len(v.Messages))
		}
	})
}

// TestLockThatIsTouched holds that a program that keeps its lock alive is left
// alone until our own patience ends.
func TestLockThatIsTouched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, Config{FS: crashfs.New(), Hostname: "here", LockWait: 10 * time.Minute})
		defer b.close()
		b.write(aliceLock, "")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 12 {
				time.Sleep(time.Minute)
				if err := b.fs.Chtimes(aliceLock, time.Now(), time.Now()); err != nil {
					t.Error(err)
				}
			}
		}()
		if _, err := b.Append(t.Context(), storagetest.Draft("a")); !errors.Is(err, storage.ErrInUse) {
			t.Errorf("append: %v", err)
		}
		<-done
		if err := b.fs.Remove(aliceLock); err != nil {
			t.Fatal(err)
		}
		if v := storagetest.Check(t, b); len(v.Messages) != 0 {
			t.Errorf("%d messages after the failed append", len(v.Messages))
		}
	})
}

// TestLongWorkKeepsItsLock holds that a lock is touched while it is held long.
func TestLongWorkKeepsItsLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tree := crashfs.New()
		b := newBox(t, Config{FS: tree, Hostname: "here"})
		defer b.close()
		lock, err := b.store.locks.lock(t.Context(), aliceLock)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := lock.refresh(); err != nil {
			t.Fatal(err)
		}
		info, err := tree.Stat(aliceLock)
		if err != nil || !info.ModTime().Equal(time.Now()) {
			t.Errorf("%v, %v", info.ModTime(), err)
		}
		if err := lock.unlock(); err != nil {
			t.Error(err)
		}
	})
}
