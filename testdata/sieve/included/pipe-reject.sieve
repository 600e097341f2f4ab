require ["vnd.dovecot.pipe", "reject"];
pipe "reads";
reject "no";
