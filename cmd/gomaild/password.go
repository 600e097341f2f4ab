package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newPassword has 80 bits, in groups that can be typed.
func newPassword() string {
	t := rand.Text()
	return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
}

// askPassword asks twice on a terminal, without showing what is typed; from
// anything else it reads the first line.
func (a *app) askPassword() (string, error) {
	terminal, ok := a.in.(*os.File)
	if !ok || !isTerminal(terminal) {
		return firstLine(a.in)
	}
	first, err := a.askHidden(terminal, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := a.askHidden(terminal, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the passwords differ; nothing was changed")
	}
	return first, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (a *app) askHidden(f *os.File, prompt string) (string, error) {
	before, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return "", err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden); err != nil {
		return "", err
	}
	fmt.Fprint(a.err, prompt)
	line, err := firstLine(f)
	fmt.Fprintln(a.err)
	return line, errors.Join(err, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, before))
}
