// Package journal makes deliveries durable together: a write-ahead log on the
// mount, in which all deliveries that wait at the same time share one wait for
// the disk.
//
// A delivery is a message that lies whole in tmp/ of a Maildir, not synced. Its
// content and its place are appended to the journal and made durable: from then
// on it survives a power cut. Then it is renamed into new/, where everybody
// sees it. A checkpoint, every second or when much has come together, makes the
// files themselves durable with one pass over the disk; then their records are
// dead. Open replays the records that are not dead: it puts back what a power
// cut took from new/ and cur/. So after a power cut the next program on the
// mount must be one that calls Open, or Recover where it keeps no journal.
//
// A message that was expunged must not come back. Who removes a message calls
// Forget before, who renames or removes a directory calls Quiesce; both cost
// nothing where no record lives.
//
// # On disk
//
// Two files, "a" and "b", take turns. All that is appended goes to the active
// one. A checkpoint makes the other one active, under a new generation, waits
// until the messages of the old one are in their places, passes over the disk,
// and appends to the new one that all up to the old generation is done. Only
// after that is durable may the next checkpoint overwrite the old file. So a
// file that is being overwritten never decides what is alive: that stands in
// the other one.
//
// A file is a sequence of batches, each written at once and followed by an
// fdatasync. A batch begins at a multiple of 4096, so that no write touches a
// block with acknowledged records; the rest of the block before is zeros. All
// records of a file have one generation and rising numbers without gaps. What
// does not is the rest of an earlier turn, or of a batch that was cut off and
// never acknowledged: there the file ends.
//
//	"GMJ1" kind:8 zero:24 generation:64 number:64 length:32 crc:32 crc-of-the-28-before:32 payload
//
// Numbers are little endian, crc is CRC-32C. Kinds:
//
//	1 delivery  mtime:64 (ns) uid:32 gid:32 dirlen:16 namelen:16 dir name content
//	2 forget    dirlen:16 namelen:16 dir name
//	3 done      generation:64
//
// dir is the directory of the Maildir folder below the mail root, name the name
// in new/. A message is known by dir and the base of the name, which is what
// stands before ':'.
package journal
