require ["include", "variables"];
set "global.returned" "before";
return;
set "global.returned" "behind";
