require "envelope";
if envelope "nothing" "x" { keep; }
