require "index";
if header :index 0 "subject" "1" { keep; }
