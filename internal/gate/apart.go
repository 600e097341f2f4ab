package gate

import (
	"fmt"
	"runtime/debug"
)

// Apart runs work on a goroutine of its own and returns when it has ended. A
// stack that has grown stays large for minutes, and most sessions do a little
// work and then wait for long: what they do apart costs them no memory while
// they wait. A panic of work becomes one of the caller.
func Apart(work func()) {
	ended := make(chan any, 1)
	go func() {
		defer func() {
			p := recover()
			if p != nil {
				p = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			ended <- p
		}()
		grow(0)
		work()
	}()
	if p := <-ended; p != nil {
		panic(p)
	}
}

// grow makes the stack large while there is nothing on it: each time that it grows
// by itself all that is on it is looked through and copied, and most commands want
// more than the first three sizes.
//
//go:noinline
func grow(i int) byte {
	var room [8 << 10]byte
	room[i] = 1
	return room[len(room)-1-i]
}
