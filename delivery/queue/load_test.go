package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
)

// TestClockSetBack: the clock of the node that takes over is a year behind that of
// the one before. What was planned a year ahead is tried at once, what the schedule
// may have planned waits for its time.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New()
		sum := sha256.Sum256([]byte("x"))
		for id, next := range map[string]time.Duration{"7-a": 365 * 24 * time.Hour, "7-b": time.Minute} {
			e := toHosts(id + ".example")
			e.ID, e.Size, e.Digest = id, 1, hex.EncodeToString(sum[:])
			e.Arrived = time.Now().Add(365 * 24 * time.Hour)
			e.To[0].Next, e.To[0].Attempts = time.Now().Add(next), 1
			data, err := e.encode()
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{id + envelopeSuffix: string(data), id + contentSuffix: "x"} {
				if err := durable.WriteFile(fs, name, []byte(text), filePerm); err != nil {
					t.Fatal(err)
				}
			}
		}
		w := &world{}
		q, err := w.open(t, fs)
		if err != nil {
			t.Fatal(err)
		}
		<-q.loaded
		synctest.Wait()
		got := func() []string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Clone(w.got)
		}
		if sent := got(); len(sent) != 1 || sent[0] != "u@7-a.example x" {
			t.Errorf("at once %q", sent)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if sent := got(); len(sent) != 2 {
			t.Errorf("after a minute %q", sent)
		}
		q.Close()
	})
}

// BenchmarkLoad is a start with 100 000 messages that are not due, each for one
// of 1000 destinations. It fails above the 5 s and 200 MB that are asked for.
func BenchmarkLoad(b *testing.B) {
	const messages = 100_000
	dir := b.TempDir()
	sum := sha256.Sum256([]byte("x"))
	for i := range messages {
		e := toHosts(fmt.Sprintf("host%d.example", i%1000))
		e.ID, e.Arrived, e.Size, e.Digest = fmt.Sprintf("7-%x", i), time.Now(), 1, hex.EncodeToString(sum[:])
		e.From.Address = mail.Address{Local: fmt.Sprint("user", i%5000), Domain: "example.org"}
		e.To[0].Next, e.To[0].Attempts, e.To[0].Last = time.Now().Add(time.Hour), 3, "451 4.4.1 No host of the destination was reached"
		data, err := e.encode()
		if err != nil {
			b.Fatal(err)
		}
		for name, text := range map[string]string{e.ID + envelopeSuffix: string(data), e.ID + contentSuffix: "x"} {
			if err := os.WriteFile(dir+"/"+name, []byte(text), filePerm); err != nil {
				b.Fatal(err)
			}
		}
	}
	fs, err := durable.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer fs.Close()
	w := &world{}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		q, err := Open(context.Background(), Config{FS: fs, Agent: w, Tell: w.tell})
		if err != nil {
			b.Fatal(err)
		}
		<-q.loaded
		took := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		held := float64(after.HeapAlloc-before.HeapAlloc) / 1e6
		if s := q.Stats(); s.Messages != messages || s.Waiting != messages {
			b.Fatalf("%+v", s)
		}
		q.Close()
		b.ReportMetric(took.Seconds(), "s/start")
		b.ReportMetric(held, "MB-held")
		if took > 5*time.Second || held > 200 {
			b.Errorf("start with %d messages took %v and holds %.0f MB", messages, took, held)
		}
	}
}
