require ["include", "variables"];
global "greeting";
set "local" "mine";
set "greeting" "hello from greet";
return;
set "greeting" "not reached";
