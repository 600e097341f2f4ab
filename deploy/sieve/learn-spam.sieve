# Runs when a message comes into the junk folder: it is taught as spam. See
# learn.toml.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.user" "*" {
	set "user" "${1}";
}
pipe :copy :try "learn" ["spam", "${user}"];
