package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gomaild/internal/durable"
)

// demoHelp is what the demo prints. Each command works as it stands; words in
// braces are filled in.
const demoHelp = `gomaild serves {domain} on {host}, from {dir}

  SMTP (MX)    {mx}  STARTTLS       submission   {msa}  STARTTLS
  LMTP         {lmtp}                 submission   {msas}  implicit TLS
  IMAP         {imap}  STARTTLS       IMAPS        {imaps}  implicit TLS

  alice@{domain}   password {alice}
  bob@{domain}     password {bob}

Receive mail from a stranger; submit mail as bob:
  swaks --server {host}:{mx} --from someone@example.org --to alice@{domain}
  swaks --server {host}:{msa} --tls --auth PLAIN --auth-user bob@{domain} --auth-password {bob} --from bob@{domain} --to alice@{domain}

Submit and read with curl:
  printf 'Subject: hi\r\n\r\nHello.\r\n' | curl -k smtps://{host}:{msas} -u bob@{domain}:{bob} --mail-from bob@{domain} --mail-rcpt alice@{domain} -T -
  curl -k imaps://{host}:{imaps}/INBOX -u alice@{domain}:{alice} -X 'FETCH 1:* (FLAGS ENVELOPE)'
  curl -k 'imaps://{host}:{imaps}/INBOX;MAILINDEX=1' -u alice@{domain}:{alice}

Copy alice's mail to {dir}/pulled (isync; the file was written for it):
  mbsync -c {dir}/mbsyncrc alice

Read it with mutt:
  mutt -e 'set imap_pass={alice} certificate_file={dir}/cert.pem' -f imaps://alice%40{domain}@localhost:{imaps}/INBOX

Deliver as Postfix's pipe does; make another mailbox:
  printf 'Subject: piped\n\nHello.\n' | {self} deliver -c {config} -f bob@{domain} -d alice@{domain}
  {self} account add -c {config} --generate carol@{domain}

Mail for other domains is refused: the demo sends nothing to anybody. Ctrl-C stops the server.
`

// demoMbsync lets isync's mbsync pull alice's mail.
const demoMbsync = `# Written by gomaild demo.
IMAPAccount alice
Host localhost
Port {imaps}
User alice@{domain}
Pass {alice}
SSLType IMAPS
SystemCertificates no
CertificateFile {dir}/cert.pem

IMAPStore remote
Account alice

MaildirStore local
Path {dir}/pulled/
Inbox {dir}/pulled/INBOX
SubFolders Verbatim

Channel alice
Far :remote:
Near :local:
Patterns *
Create Near
Sync Pull
SyncState *
`

// printHelp writes mbsync's file and prints the commands to try.
func (d *demo) printHelp(p demoPortsOf) error {
	self, err := os.Executable()
	if err != nil {
		self = "gomaild"
	}
	users := demoUsers()
	fill := strings.NewReplacer(
		"{domain}", demoDomain, "{host}", demoHost, "{dir}", d.dir, "{self}", self,
		"{config}", filepath.Join(d.dir, demoConfig),
		"{alice}", d.passwords[users[0]], "{bob}", d.passwords[users[1]],
		"{mx}", strconv.Itoa(p.MX), "{msa}", strconv.Itoa(p.MSA), "{msas}", strconv.Itoa(p.MSAS),
		"{lmtp}", strconv.Itoa(p.LMTP), "{imap}", strconv.Itoa(p.IMAP), "{imaps}", strconv.Itoa(p.IMAPS),
	)
	if err := d.writeMbsync(fill.Replace(demoMbsync)); err != nil {
		return err
	}
	_, err = fmt.Fprint(d.out, fill.Replace(demoHelp))
	return err
}

func (d *demo) writeMbsync(text string) error {
	root, err := durable.OpenRoot(d.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := durable.MkdirAll(root, "pulled", 0o700); err != nil {
		return err
	}
	return durable.WriteFile(root, "mbsyncrc", []byte(text), 0o600)
}
