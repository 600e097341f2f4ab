// Package queue keeps the messages that we owe somebody and makes attempts
// until each recipient is served or given up.
//
// A message is two files in the queue's directory: ID.msg, the content, and
// ID.env, the envelope (docs/on-disk.md has the format). We owe it once ID.env
// is renamed into place and the directory synced, and no more once ID.env is
// gone; ID.msg without ID.env is nobody's. Each change of the envelope
// replaces the whole file, so a power cut leaves the old state or the new. A
// recipient that was served in the moment before the cut is served again:
// a duplicate, never a loss.
//
// Scheduling is per Destination: each has its own line, in which senders take
// turns, and its own limit of attempts at once, which grows with each answer and
// falls with silence, so a dead destination holds nobody but its own. Memory holds an entry for each message
// and destination; envelopes and contents stay on the disk until their attempt.
package queue
