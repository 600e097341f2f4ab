package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mounted is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)):
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
type mounted struct {
	id           uint64
	point        string
	kind, source string
}

var errMountLine = errors.New("no line of mountinfo")

// findMount is the line of the mount id.
func findMount(table io.Reader, id uint64) (mounted, error) {
	var found *mounted
	err := eachMount(table, func(m mounted) {
		if m.id == id {
			found = &m
		}
	})
	switch {
	case err != nil:
		return mounted{}, err
	case found == nil:
		return mounted{}, fmt.Errorf("mount %d is not in mountinfo", id)
	}
	return *found, nil
}

// eachMount reads a table of mounts.
func eachMount(table io.Reader, see func(mounted)) error {
	lines := bufio.NewScanner(table)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, err := parseMount(lines.Text())
		if err != nil {
			return err
		}
		see(m)
	}
	return lines.Err()
}

func parseMount(line string) (m mounted, err error) {
	left, right, ok := strings.Cut(line, " - ")
	f, g := strings.Split(left, " "), strings.Split(right, " ")
	if !ok || len(f) < 6 || len(g) < 2 {
		return m, fmt.Errorf("%w: %.200q", errMountLine, line)
	}
	m.point, m.kind, m.source = unescapeMount(f[4]), g[0], unescapeMount(g[1])
	if m.id, err = strconv.ParseUint(f[0], 10, 64); err != nil {
		return m, fmt.Errorf("%w: %.200q", errMountLine, line)
	}
	return m, nil
}

// unescapeMount turns back the octal escapes of blank, tab, newline and
// backslash.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
