// Package daemon is gomaild assembled: it builds every part from one
// configuration, starts them, replaces them at a reload and stops them. It
// holds no mail logic, and it is the only package that knows all others.
//
// What lives how long. The mail root, the store and the spool live from Start
// to Stop. Everything that a reload may change (accounts, logins, routing, the
// protocol servers) is one generation. A door is a listener that stays open
// over a reload and hands each new connection to the generation of the moment.
//
// Reload builds the next generation, checks it, opens the doors it adds, swaps,
// and then ends the old one in two phases: its idle clients are told goodbye,
// its busy ones finish within the grace. A fault in any step before the swap
// leaves the old one as it was.
//
// Start opens the control socket (cluster/control), over which it tells how it is,
// and takes the mail root for itself (package cluster) before anything of the
// mail is opened; Ending says when it was taken away.
//
// Start pushes an undo step for each thing that it opens; Stop, and a Start
// that fails, run them from the last to the first. When Stop returns no file
// below the mail root is open and no goroutine of the daemon runs.
package daemon
