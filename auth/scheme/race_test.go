//go:build race

package scheme

// underRace: the race detector makes hashes ten times slower, and verifying
// shares nothing that could race; one heavy row in twenty shows as much.
const underRace = true
