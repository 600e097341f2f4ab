require "vnd.dovecot.execute";
execute :input "a" :pipe "echo";
execute :output "a" "echo";
