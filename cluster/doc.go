// Package cluster answers one question: may this process run on this mail root?
//
// Three things in the directory Dir below the root say so:
//
//	lock     locked (flock) as long as a daemon runs; it keeps a second daemon
//	         out that shares a kernel with the first, in the same process too
//	epoch    the count of starts, raised and synced at each; who finds a higher
//	         one than its own was taken over from and touches nothing any more
//	cluster  the marker: "gomaild-cluster-1 ID", which cluster's mail this is
//
// The lock ends with the kernel that holds it. The epoch is for the process that
// slept through that, in a paused machine or behind a frozen disk: it asks
// Hold.Fence before it answers for anything and before it renames or numbers
// anything. Between the question and the act a process can still be stopped; what
// closes that last gap is fencing (stonith), which pacemaker does before it lets
// another node have the mount.
//
// No clock decides anything here: a count only rises, and times in the files are
// for people.
//
// # The epoch file
//
// One block of 4096 octets, in two halves that take turns, each a line
//
//	gomaild-epoch-1 SHA256 JSON
//
// with the digest in hex of the JSON object, then spaces, then a line end. Epoch
// N stands in half N mod 2, written in place and synced, so the half with the
// epoch before it is whole whenever a power cut comes. The file is never renamed:
// who slept has it open, and reads the block past the page cache (O_DIRECT), in
// which a machine that slept would find what it knew already. That is done when
// the last such look is 10 ms old; in between the page cache is asked, which knows
// of a start under the same kernel.
package cluster
