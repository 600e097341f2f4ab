require "relational";
if header :value "greater" "subject" "1" { keep; }
