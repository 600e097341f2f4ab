require ["vnd.dovecot.pipe", "variables"];
pipe "../reads";
pipe "${x}";
pipe "reads" "a
b";
