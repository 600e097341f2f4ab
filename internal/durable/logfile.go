package durable

import "os"

// OpenLog opens a file that lines are added to at its end, and makes it. It is for
// logs, which nobody answers for: nothing is synced. Other processes can be given
// it, which is why it is an *os.File.
func OpenLog(path string, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, perm)
}
