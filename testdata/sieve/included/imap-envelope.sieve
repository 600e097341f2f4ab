require ["envelope", "imapsieve"];
if envelope "from" "x" { keep; }
