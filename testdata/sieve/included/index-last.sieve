require "index";
if header :last "subject" "1" { keep; }
