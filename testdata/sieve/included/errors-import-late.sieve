require ["include", "variables"];
global "a";
import "b";
