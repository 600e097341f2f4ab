require ["include", "variables"];
import "a";
export ["b", "c"];
set "a" "1";
