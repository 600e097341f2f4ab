require ["enotify", "notify"];
require ["imap4flags", "imapflags"];
require ["duplicate", "vnd.dovecot.duplicate"];
