package peertest

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// TestNobodyHoldsWhatIsFree makes processes all the while: no child has the socket
// by which a port was tried, nor a program open that was written.
func TestNobodyHoldsWhatIsFree(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	defer others.Wait()
	defer close(stop)
	dir := t.TempDir()
	for i := range 60 {
		port, release, err := ClaimPort()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		release()
		program := filepath.Join(dir, fmt.Sprint(i))
		WriteProgram(t, program, []byte("#!/bin/sh\nexit 0\n"))
		if err := exec.Command(program).Run(); err != nil {
			t.Fatal(err)
		}
	}
}
