require "fileinto";
fileinto "a"
keep;
fileinto "b"
true;
if address matches "from" "*x*" { stop; }
