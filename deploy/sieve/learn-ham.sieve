# Runs when a message leaves the junk folder: it is taught as wanted, unless it
# is thrown away. See learn.toml.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.mailbox" ["Trash", "Trash/*", "Junk/*"] {
	stop;
}
if environment :matches "imap.user" "*" {
	set "user" "${1}";
}
pipe :copy :try "learn" ["ham", "${user}"];
