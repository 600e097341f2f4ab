require "vnd.dovecot.pipe";
pipe "reads";
pipe "reads";
